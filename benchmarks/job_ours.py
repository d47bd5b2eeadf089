"""The job of :mod:`benchmarks.job` by this project's command, whole: run folder, checkpoints, pictures, events.

python -m benchmarks.job_ours --epochs 8 [-- --precision bf16]

A preset brings its own batches and learning rate.
"""

import argparse
import functools
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.job import BATCH, HIDDEN, LATENT, LR, SAMPLES, Job

WIDTHS = [f"--{net}.{name}" for net in ("encoder", "decoder") for name in ("hidden_dims", "activation")]
NETWORK = [word for pair in zip(WIDTHS, (f"[{HIDDEN}]", "tanh") * 2, strict=True) for word in pair]
OPTIONS = ["--data", "mnist", *NETWORK, "--latent-dim", str(LATENT)]
STEPS = ["--batch-size", str(BATCH), "--lr", str(LR)]


def words(more: list[str]) -> list[str]:
    """The command's options but its epochs and its folder, from those that are given after ``--``."""
    preset = any(word.startswith("--preset") for word in more)
    return [*OPTIONS, *([] if preset else STEPS), "--final-samples", str(SAMPLES), *more]


def timed(job: Job, owner: Any, name: str, part: str) -> None:
    """Let the calls of a function count as a part of the job."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        with job.part(part):
            return function(*args, **kwargs)

    setattr(owner, name, counted)


def main(epochs: int, more: list[str]) -> None:
    job = Job()
    with job.part("start"):
        from pyro_vae import svi
        from pyro_vae.engine import captured
        from pyro_vae.runs import RunFolder, load
        from pyro_vae.training import session
        from pyro_vae.training.held_out import HeldOut
        from pyro_vae.training.log import Log
        from pyro_vae.training.recorder import Recorder

    timed(job, session, "load_data", "data")
    timed(job, session, "prepare", "start")
    timed(job, captured.Captured, "_new", "compile")
    timed(job, svi, "run_epoch", "steps")
    timed(job, HeldOut, "terms", "evaluation")
    timed(job, Log, "pictures", "pictures")
    timed(job, RunFolder, "save", "writing")
    timed(job, Log, "write", "writing")
    after = Recorder.after_epoch

    def told(self: Recorder, *given: Any) -> Any:
        state = after(self, *given)
        job.epoch(self.log.elbo("test"))
        return state

    Recorder.after_epoch = told  # type: ignore[method-assign]
    job.parts["start"] = job.seconds()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        svi.main([*words(more), "--epochs", str(epochs), "--out", str(out)])
        run = load(out, trust=True)
        elbo = run.folder.read_metrics()["test_elbo"]["value"]
    job.finish(elbo, precision=run.config.precision)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("more", nargs="*", help="further options of the command, after --")
    options = parser.parse_args()
    main(options.epochs, options.more)
