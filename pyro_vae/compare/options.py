"""The options of the command, and the plan that is made from them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jsonargparse import Namespace

from pyro_vae.command_line import CommandParser
from pyro_vae.compare.grid import MOST, Arm, Trial, expand, find_arm
from pyro_vae.compare.verdict import MARGIN
from pyro_vae.data import load_data
from pyro_vae.errors import InputError
from pyro_vae.evaluate.choice import add_options, named_by, with_options
from pyro_vae.lifecycle import require_same
from pyro_vae.metrics import Metric, Options, all_metrics
from pyro_vae.metrics.options import options_of
from pyro_vae.options import Settings, make_parser, parse_arguments, settings_from, settle
from pyro_vae.run_help import explain, guide_lines
from pyro_vae.terminal import on_stderr
from pyro_vae.training.prepare import prepare
from pyro_vae.training.settled import settled_by

HEADINGS = {
    "comparison": ("guides", "seeds", "baseline", "confidence", "margin", "out", "index"),
    "metrics": ("measures", "measure_train", "evaluate.images", "evaluate.gap_images"),
    "machine": ("workers", "ray", "device"),
    "of each run; pyro-vae train --help has the rest": ("data", "latent_dim", "epochs"),
    "help": ("help", "help_all"),
}
EPILOG = [
    "Every option of pyro-vae train holds for all runs. Most may be a list, too: --latent-dim 2,10",
    "doubles the grid.",
    "",
    *guide_lines(),
    "",
    "example:",
    "  python -m pyro_vae.compare --guides MeanField,FullRank,IAF --seeds 3 --epochs 50 --out comparisons/three",
]


@dataclass(frozen=True)
class Plan:
    """The work to do.

    Attributes:
        trials: all runs, seed by seed, so that every arm gets its first run early.
        out: the folder of the comparison.
        data: the name or path of the data.
        margin: the difference in ELBO that matters, nats per image.
        metrics, evaluate, measure_train: the request to ``evaluate``.
        workers: the number of runs at a time; None if the machine decides.
        ray: the address of a Ray cluster; "local" for a cluster on this machine; None for processes.
        trust: whether existing run folders may name any code.
    """

    arms: Sequence[Arm]
    trials: Sequence[Trial]
    out: Path
    data: str
    device: str
    baseline: str
    confidence: float
    margin: float
    metrics: Sequence[Metric]
    evaluate: Options
    measure_train: bool
    workers: int | None
    ray: str | None
    trust: bool = False


def compare_parser(on_cuda: bool, metrics: Sequence[str] = ()) -> CommandParser:
    """The parser of ``svi``'s options and of the comparison's own; without a GPU the defaults of metrics are cheaper.

    Args:
        on_cuda: whether there is a GPU.
        metrics: the names and import paths after ``--measures``.
    """
    parser = make_parser(
        "python -m pyro_vae.compare",
        description="Train guides x seeds as run folders, measure them, and write one report.",
    )
    add = parser.add_argument
    add("--guides", metavar="A,B", help='the guides, with options if wanted: "MeanField,IAF(transforms=4)"')
    add("--seeds", type=int, default=3, metavar="N", help="runs of each arm, from --seed on")
    add("--baseline", metavar="ARM", help="the arm that all others are compared with; by default the first")
    add("--confidence", type=float, default=0.95, help="joint confidence of the intervals of one metric")
    add("--margin", type=float, default=MARGIN, help="the smallest ELBO difference that matters, nats")
    add("--index", metavar="DIR", help="train nothing: write DIR/index.html, which links all reports in DIR")
    add("--workers", type=int, metavar="N", help="runs at a time; by default one a GPU or, without one, one a core")
    add("--ray", nargs="?", const="local", metavar="ADDRESS", help="as Ray tasks, here or on the cluster of ADDRESS")
    add("--measures", default=_usual(), metavar="A,B", help=f"by name or import path: {', '.join(all_metrics())}")
    add("--measure_train", type=bool, default=False, help="measure bounds and gap on training images too")
    parser.add_class_arguments(Options, "evaluate")
    add_options(parser, metrics, "evaluate")
    if not on_cuda:
        cheap = {name: value for metric in all_metrics().values() for name, value in metric.cheap.items()}
        parser.set_defaults({f"evaluate.{name}": value for name, value in cheap.items()})
    out = next(action for action in parser._actions if action.dest == "out")
    out.help = "the folder of the comparison, comparisons/DATA-GUIDES if none is given"
    explain(parser, HEADINGS, EPILOG)
    return parser


def require_choice(argv: Sequence[str]) -> None:
    """Check that the command line gives several arms.

    Raises:
        InputError: if it gives only one arm and no ``--guides``.
    """
    words = {word.partition("=")[0] for word in argv}
    if not words & {"-h", "--help", "--help-all", "--guides"} and len(expand(argv)) < 2:
        raise InputError(
            "compare needs guides: --guides MeanField,IAF, or a list for another option, such as --latent-dim 2,10"
        )


def make_plan(argv: Sequence[str]) -> Plan:
    """The plan that a command line describes, checked before anything is written.

    Raises:
        InputError: if something in it is invalid, or the runs could not be compared.
    """
    arms, on_cuda = expand(argv), torch.cuda.is_available()
    typed = named_by(argv, "--measures") or []
    parser = compare_parser(on_cuda, typed)
    if on_cuda and parse_arguments(parser, arms[0].words).device == "cpu":
        parser = compare_parser(False, typed)
    parsed = [(arm, parse_arguments(parser, arm.words)) for arm in arms]
    given = parsed[0][1]
    names = [arm.name for arm, _ in parsed]
    if given.seeds < 1:
        raise InputError(f"--seeds must be positive, not {given.seeds}")
    if given.seeds * len(arms) > MOST:
        raise InputError(f"{len(arms)} arms x {given.seeds} seeds are more than the {MOST:,} runs of a comparison")
    if not 0 < given.confidence < 1:
        raise InputError(f"--confidence lies between 0 and 1, not {given.confidence:g}")
    if not 0 < given.margin < float("inf"):
        raise InputError(f"--margin must be positive, not {given.margin:g}")
    if given.workers is not None and given.workers < 1:
        raise InputError(f"--workers must be positive, not {given.workers}")
    svi = make_parser()
    settled = {arm.name: settle(svi, namespace) for arm, namespace in parsed}
    config = settled[names[0]].config
    folders = [arm.folder(config.seed).rpartition("-")[0] for arm, _ in parsed]
    out = config.out or Path("comparisons") / "-".join([Path(config.data).stem, *folders])[:120]
    return Plan(
        arms=[arm for arm, _ in parsed],
        trials=_trials(settled, dict(zip(names, folders, strict=True)), given.seeds, out, given.trust),
        out=out,
        data=config.data,
        device=config.device,
        baseline=find_arm(given.baseline, names) if given.baseline else names[0],
        confidence=given.confidence,
        margin=given.margin,
        metrics=_metrics(given, typed),
        evaluate=_evaluation(given),
        measure_train=given.measure_train,
        workers=given.workers,
        ray=given.ray,
        trust=given.trust,
    )


def _usual() -> str:
    return ",".join(name for name, metric in all_metrics().items() if metric.in_comparisons)


def _metrics(given: Namespace, typed: Sequence[str]) -> list[Metric]:
    names = [name.strip() for name in given.measures.split(",") if name.strip()]
    if unknown := [name for name in names if "." in name and name not in typed]:
        raise InputError(f"a file names the metric {unknown[0]}, which is code: type --measures yourself")
    return with_options(["elbo", *names], given.evaluate)


def _evaluation(given: Namespace) -> Options:
    plain = given.evaluate.as_dict()
    try:
        return options_of({name: plain[name] for name in Options.__dataclass_fields__})
    except ValueError as error:
        raise InputError(f"--evaluate: {error}") from error


def _trials(settled: dict[str, Settings], folders: dict[str, str], seeds: int, out: Path, trust: bool) -> list[Trial]:
    first = next(iter(settled.values())).config
    data = load_data(
        first.data,
        first.data_root,
        first.validation,
        first.layout,
        on_stderr,
        image_size=first.size,
        missing=first.takes_missing,
    )
    binary = {}
    for arm, settings in settled.items():
        open_ones = settled_by(data, settings)
        config = settings_from(settings.text, trust=True, **open_ones).config if open_ones else settings.config
        binary[arm] = prepare(config, data).binarizer.binary
    if len(set(binary.values())) > 1:
        zeros, gray = ([arm for arm in binary if binary[arm] is seen] for seen in (True, False))
        raise InputError(
            f"{', '.join(zeros)} would see zeros and ones and {', '.join(gray)} gray values: their ELBOs are of"
            " different images and cannot be compared"
        )

    def text(settings: Settings, seed: int) -> str:
        return re.sub(r"(?m)^seed: \d+$", f"seed: {seed}", settings.text, count=1)

    trials = [
        Trial(arm, seed, out / "runs" / f"{folders[arm]}-seed{seed}", text(settings, seed), first.device)
        for seed in range(first.seed, first.seed + seeds)
        for arm, settings in settled.items()
    ]
    for trial in trials:
        if (trial.path / "config.yaml").exists():
            require_same(trial.path, settings_from(trial.text, trust=True), trust, data.likelihood)
    return trials
