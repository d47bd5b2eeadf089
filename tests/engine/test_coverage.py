"""Which parts of the project can be captured: all that are found, or the table says why not.

    python tests/engine/test_coverage.py        # writes pyro_vae/engine/CAPTURE.md anew, in some minutes

The tests hold the committed table against what is found and captured. The graph runs operation by operation, so that a
difference from eager would be the capture's and not a compiler's rounding.
"""

import inspect
import re
import typing
from functools import cache
from pathlib import Path

import pytest
import torch

import guides
from guides import GUIDES
from pyro_vae import models, objectives
from pyro_vae.build import build
from pyro_vae.engine import SVI, CaptureError, StepOptions, training_step
from pyro_vae.optim import OptimizerName, make_optimizer
from pyro_vae.options import settings_of

TABLE = Path(__file__).parents[2] / "pyro_vae" / "engine" / "CAPTURE.md"
REWRITE = "`python tests/engine/test_coverage.py` writes it anew"
SHAPE, CLASSES, LATENT = (1, 6, 6), 3, 3
HEAD = """# What is captured

`compiled` and `cudagraph` run a step as one graph of tensor operations, forward and backward. In the tables, **yes**
means that this graph was made; a number points to the reason where it was not. `--engine auto` runs eagerly what has no
graph. That the graph reports what eager steps report is tested for each part by itself.

"""
END = """
Made of what is found in `guides`, `models` and `objectives` by `python tests/engine/test_coverage.py`; a test holds it
against them.
"""


def concrete(module, kind: type) -> list[str]:
    """The names of a module's classes of a kind that can be made."""
    found = [(name, getattr(module, name)) for name in module.__all__]
    return sorted(n for n, c in found if inspect.isclass(c) and issubclass(c, kind) and not inspect.isabstract(c))


OBJECTIVES = concrete(objectives, objectives.Objective)
OWN = sorted(name for name, guide in GUIDES.items() if guide.__module__.startswith("guides."))  # not other packages'
#: the parts of a run other than guide and objective, by the option that names them
PARTS = {
    "model": concrete(models, models.Model),
    "decoder": concrete(models, models.Decoder),
    "likelihood": concrete(models, models.Likelihood),
    "prior": concrete(models, models.Prior),
    "encoder": concrete(guides, guides.Encoder),
    "optimizer": list(typing.get_args(OptimizerName)),
}
TABLE_SHAPE = (1, 1, 36)  #: what a likelihood of columns takes
SMALL = {name: {"class_path": name, "init_args": {"hidden_dims": [8]}} for name in ("MLPEncoder", "MLPDecoder")}
SMALL |= {
    name: {"class_path": name, "init_args": {"levels": 2}}
    for name in ("BetaBinomial", "Categorical", "DiscretizedLogistic")
}
#: what a part asks of the others
NEEDS = {
    "LinearGaussian": {
        "decoder": "LinearDecoder",
        "likelihood": {"class_path": "Gaussian", "init_args": {"squash": False}},
    },
    "M2": {"objective": "TraceEnum_ELBO"},
}


def shape_of(**options) -> tuple[int, ...]:
    """The shape of an image, or of a table's row, that these parts take."""
    return TABLE_SHAPE if options.get("likelihood") == "Columns" else SHAPE


def svi_of(engine: str = "eager", device: str = "cpu", **options) -> tuple[SVI, tuple]:
    """A fresh SVI of the parts that the options name, from one seed, and what its step takes."""
    base = {"encoder": "MLPEncoder", "decoder": "MLPDecoder", "likelihood": "Bernoulli", "latent_dim": LATENT}
    given = {**base, **NEEDS.get(options.get("model", ""), {}), **options}
    given = {key: SMALL.get(value, value) if isinstance(value, str) else value for key, value in given.items()}
    config, shape = settings_of(given).config, shape_of(**options)
    model, guide = (part.to(device) for part in build(config, shape, None, CLASSES, 100))
    optimizer = make_optimizer(config.optimizer, [*model.parameters(), *guide.parameters()], 1e-2, 0.0)
    svi = SVI(model, guide, optimizer, config.objective(), engine=engine, options=StepOptions(per_image=True))
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(8, *shape, generator=generator).bernoulli()
    y = torch.randint(CLASSES, (8,), generator=generator)
    return svi, tuple(t.to(device) for t in ((x, y) if model.labels != "ignored" else (x,)))


def records(steps: int = 3, **options) -> torch.Tensor:
    """What the first steps report, ``(steps, 4)``."""
    torch.manual_seed(0)
    svi, given = svi_of(**options)
    return torch.stack([torch.stack(training_step(svi, *given)[:4]) for _ in range(steps)]).cpu()


def verdict(**options) -> str:
    """In a word or more, whether a step of these parts has a graph."""
    torch.manual_seed(0)
    try:
        svi, given = svi_of("captured", **options)
        training_step(svi, *given)
    except CaptureError as error:
        return f"eager: {error}"
    except ValueError as error:
        return f"no such pair: {str(error).splitlines()[0]}"  # Pyro adds the shapes of the sites
    return "yes"


Cells = dict[tuple[str, str], str]  #: the verdict for (guide, objective), and for (option, name of a part)
KEYS = [(guide, objective) for guide in OWN for objective in OBJECTIVES]
KEYS += [(option, name) for option, names in PARTS.items() for name in names]


def capture(row: str, column: str) -> str:
    """The verdict for a cell."""
    return verdict(**({row: column} if row in PARTS else {"guide": row, "objective": column}))


def render(cells: Cells) -> str:
    """The whole of CAPTURE.md."""
    reasons = list(dict.fromkeys(said for said in cells.values() if said != "yes"))

    def cell(row: str, column: str) -> str:
        said = cells[row, column]
        return said if said == "yes" else f"({reasons.index(said) + 1})"

    lines = [f"| guide | {' | '.join(OBJECTIVES)} |", "| --- |" + " --- |" * len(OBJECTIVES)]
    lines += [f"| {guide} | {' | '.join(cell(guide, objective) for objective in OBJECTIVES)} |" for guide in OWN]
    lines += ["", "With the guide MeanField and the objective Trace_ELBO (M2: TraceEnum_ELBO):", ""]
    lines += ["| option | captured |", "| --- | --- |"]
    for option, names in PARTS.items():
        lines.append(f"| {option} | {', '.join(f'{name} {cell(option, name)}' for name in names)} |")
    beside = [name for name in PARTS["optimizer"] if not whole(name)]
    lines += ["", f"Under `cudagraph` these optimizers step beside the graph and not in it: {', '.join(beside)}."]
    for number, reason in enumerate(reasons, 1):
        lines += ["", f"({number}) {reason}"]
    if not any(reason.startswith("eager") for reason in reasons):
        lines += ["", "Whatever can be trained can be captured."]
    return HEAD + "\n".join(lines) + "\n" + END


def whole(optimizer: str) -> bool:
    """Whether an optimizer can be part of a CUDA graph."""
    return "capturable" in make_optimizer(optimizer, [torch.nn.Parameter(torch.zeros(1))], 0.1, 0.0).param_groups[0]


# ---- the tests


@cache
def committed() -> Cells:
    """What the committed table says."""
    lines = TABLE.read_text().splitlines()
    reasons = {found[1]: found[2] for line in lines if (found := re.fullmatch(r"\((\d+)\) (.*)", line))}
    cells: Cells = {}
    objectives_there: list[str] = []
    for line in lines:
        name, *found = [cell.strip() for cell in line.strip("|").split("|")]
        if name == "guide":
            objectives_there = found
        elif name in PARTS:
            cells |= {(name, part.split()[0]): part.split()[1] for part in found[0].split(", ")}
        elif len(found) == len(objectives_there) and name != "---":
            cells |= {(name, column): word for column, word in zip(objectives_there, found, strict=True)}
    return {key: reasons[word[1:-1]] if word.startswith("(") else word for key, word in cells.items()}


def said_of(case: dict[str, str]) -> str:
    """What the committed table says of a run with one part other than in the plainest one."""
    ((option, name),) = case.items()
    key = {"guide": (name, "Trace_ELBO"), "objective": ("MeanField", name)}.get(option, (option, name))
    return committed().get(key, "nothing")


def test_the_table_has_every_part_that_is_found():
    assert set(committed()) == set(KEYS), REWRITE
    assert render({key: committed()[key] for key in KEYS}) == TABLE.read_text(), REWRITE
    assert {"MeanField", "IAF"} <= set(OWN)
    assert {"Trace_ELBO", "TraceMeanField_ELBO", "IWAE"} <= set(OBJECTIVES)
    assert {("model", "VAE"), ("prior", "VampPrior"), ("optimizer", "Adam")} <= set(KEYS)


CASES = [{"guide": guide} for guide in OWN]
CASES += [{"objective": name} for name in OBJECTIVES if name != "Trace_ELBO"]
CASES += [{option: name} for option, names in PARTS.items() for name in names if name not in ("VAE", "Adam")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case.values()))
def test_every_part_is_captured_to_the_last_digits_or_the_table_says_why_not(case):
    """One part at a time is another than in the plainest run; all pairs are captured when the table is written."""
    said = said_of(case)
    if said != "yes":
        assert verdict(**case) == said, REWRITE
        return
    expected = records(**case)
    assert expected.isfinite().all()
    torch.testing.assert_close(
        records(engine="captured", **case), expected, rtol=1e-5, atol=1e-5, msg=lambda m: f"{m}\n{REWRITE}"
    )


def test_pairs_that_the_table_refuses_are_refused():
    refused = {key: said for key, said in committed().items() if said != "yes" and key[0] in OWN}
    assert refused
    for key, said in refused.items():
        assert capture(*key) == said, REWRITE


if __name__ == "__main__":
    torch.set_num_threads(1)
    TABLE.write_text(render({key: capture(*key) for key in KEYS}))
    print(f"wrote {TABLE}")
