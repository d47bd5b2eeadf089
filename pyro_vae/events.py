"""The trace for TensorBoard: a chart for each quantity with the splits in it, the run's options, its pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from torch.utils.tensorboard.summary import hparams, image, scalar, text

from pyro_vae.event_file import EventFile
from pyro_vae.files import make_folder
from pyro_vae.origin import WITHOUT_EFFECT
from pyro_vae.trace import SPLITS, TraceRow

#: TensorBoard sorts charts by name: the objective comes before the details of the steps.
BOUND = {"elbo": "bound/elbo", "log_likelihood": "bound/log_likelihood", "kl": "bound/kl"}
STEPS = {"beta": "steps/beta", "lr": "steps/lr", "grad_norm": "steps/grad_norm"}
RESULT = "test_elbo"


class Events:
    """Writes the events of a run: those of a split in the folder's ``train``, ``validation`` or ``test``.

    TensorBoard shows each of these folders as a run, and overlays them in one chart. No file is made before the first
    :meth:`flush`, so a run that is refused leaves none.

    Args:
        path: the run folder.
        config_text: of its ``config.yaml``.
        last_step: the last step of the resumed trace: drop the events that a killed run wrote after its last
            checkpoint. None for a new run.
    """

    def __init__(self, path: Path, config_text: str, last_step: int | None = None):
        purge = None if last_step is None else last_step + 1
        self.path, self.run = path, EventFile(path, purge)
        self.splits = {split: EventFile(path / split, purge) for split in SPLITS}
        self.pictured = 0
        experiment, start, self.end = hparams(options(config_text), {RESULT: 0.0})
        if last_step is None:
            self.run.add(text("config", f"```yaml\n{config_text}\n```"))
        for summary in (experiment, start):
            self.run.add(summary)

    def add(self, row: TraceRow) -> None:
        """One row of the trace; only the training row has values of the steps."""
        for name, tag in (BOUND | STEPS if row.split == "train" else BOUND).items():
            if (value := getattr(row, name)) is not None:
                self.splits[row.split].add(scalar(tag, value), row.step)

    def pictures(self, folder: Path, step: int, last: bool = False) -> None:
        """The pictures in a folder; during training only when the run is twice as long as at the last ones.

        Each set takes half a megabyte, and a run of days draws its pictures thousands of times.
        """
        if last or step >= 2 * self.pictured:
            self.pictured = step
            for path in sorted(folder.glob("*.png")):
                with Image.open(path) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                self.run.add(image(path.stem, pixels, dataformats="HWC"), step)
        self.flush()

    def flush(self) -> None:
        """Write what was added.

        Raises:
            OSError: if a file cannot be written.
            InputError: if the folder of a split is a symbolic link.
        """
        for split in self.splits:
            make_folder(self.path / split)
        for file in (self.run, *self.splits.values()):
            file.flush()

    def finish(self, test_elbo: float, step: int) -> None:
        """The result that compares the runs, and the end of the run."""
        self.run.add(scalar(RESULT, test_elbo), step)
        self.run.add(self.end)
        self.flush()


def options(config_text: str) -> dict[str, bool | int | float | str]:
    """The options of a run as one flat mapping, as the hparams tab takes them.

    >>> options("{guide: {class_path: guides.IAF, init_args: {transforms: 4}}, epochs: 3, out: runs/a}")
    {'guide': 'IAF', 'guide.transforms': 4, 'epochs': 3}
    """
    flat: dict[str, bool | int | float | str] = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, dict) and "class_path" in value:
            flat[name] = value["class_path"].rpartition(".")[2]
            for inner, its in (value.get("init_args") or {}).items():
                put(f"{name}.{inner}", its)
        elif isinstance(value, bool | int | float | str):
            flat[name] = value
        elif value is not None:
            flat[name] = json.dumps(value)

    for name, value in (yaml.safe_load(config_text) or {}).items():
        if name not in WITHOUT_EFFECT:
            put(name, value)
    return flat
