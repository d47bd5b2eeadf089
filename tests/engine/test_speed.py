"""What the tables of speed say follows from what was measured; nothing here measures time."""

import sys

import pytest
import torch
from pyro.distributions import is_validation_enabled, validation_enabled

from benchmarks import memory, precision
from benchmarks.ours import Floor
from benchmarks.peers import NumPyro, PlainPyro
from benchmarks.row import HIDDEN, LATENT, Case
from benchmarks.rows import ROWS
from benchmarks.speed import CASES, CORE, MAIN, case_of, section
from benchmarks.speed_tables import TARGETS, judge, show, targets


def case(particles=1, batch_size=256, **milliseconds):
    """A measured case; underscores stand for what Python's names cannot hold."""
    names = {"pyro": "Pyro, as its tutorial", "numpyro": "NumPyro, binarising", "compiled": "compiled"}
    names |= {"binarising": "compiled, binarising", "bf16": "compiled, bf16, binarising"}
    names |= {"onednn": "products alone, oneDNN", "mkl": "products alone, MKL"}
    rows = [
        {"row": names[key], "median_ms": ms, "spread_ms": 0.1, "loss": [200.0, 150.0], "sound": True}
        | {"memory_mib": 12.0, "start_seconds": 3.0}
        for key, ms in milliseconds.items()
    ]
    return {"guide": "MeanField", "batch_size": batch_size, "particles": particles, "device": "cpu", "rows": rows}


def verdicts(*cases):
    lines = targets(list(cases)).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_targets_are_ratios_to_the_right_rows():
    measured = case(pyro=20.0, numpyro=10.0, compiled=5.0, binarising=6.5, bf16=6.0, onednn=4.0, mkl=5.0)
    assert [line[1:] for line in verdicts(measured)] == [
        ["1.25", "1.25", "met"],
        ["0.30", "0.25", "met"],
        ["0.70", "0.65", "met"],
        ["0.50", "0.60", "not met"],
    ]
    small = case(1, 100, numpyro=10.0, compiled=6.0, binarising=9.0, bf16=8.0, onednn=4.0)
    assert [line[1:] for line in verdicts(small)] == [
        ["1.40", "1.50", "not met"],
        ["0.95", "0.90", "met"],
        ["0.75", "0.80", "not met"],
    ]


def test_a_target_below_the_products_own_time_says_so():
    measured = case(pyro=10.0, numpyro=6.0, compiled=5.0, binarising=5.0, onednn=4.0)
    assert targets([case(100, compiled=1.0)]) == ""
    found = {line[0]: line[3] for line in verdicts(measured)}
    assert found["MeanField, batch 256: float32 beside plain Pyro, neither binarising"] == (
        "not met: the products alone take 0.40"
    )
    assert found["MeanField, batch 256: float32 beside NumPyro, both binarising"] == "not met"


def test_fifty_particles_are_judged_in_their_own_case():
    measured = [case(compiled=5.0, onednn=4.0), case(50, binarising=130.0, onednn=100.0), case(50, 100, binarising=9.0)]
    assert [line[2] for line in verdicts(*measured)] == ["1.25", "1.30"]


@pytest.mark.parametrize(("low", "verdict"), [([-99.5, -99.4, -99.9], "met"), ([-99.7, -99.9, -100.5], "not met")])
def test_bfloat16_is_judged_by_the_mean_over_seeds(low, verdict):
    full = [-99.5, -99.5, -99.6]
    text = precision.section({"fp32": full, "bf16": low}, 30)
    difference = sum(low) / 3 - sum(full) / 3
    assert f"| {difference:+.2f} |" in text.splitlines()[-3]
    assert text.endswith(f"allowed is 0.3 either way: {verdict}.")


def test_losses_that_do_not_fall_or_are_not_alike_are_named():
    measured = case(pyro=1.0, numpyro=1.0, compiled=1.0, binarising=1.0, onednn=1.0)
    for row, losses in zip(measured["rows"], [[200, 150], [200, 160], [149, 151], [200, float("nan")]], strict=False):
        row["loss"] = losses
    del measured["rows"][-1]["sound"]
    measured["rows"][-1]["loss"] = [float("nan")]
    judge(measured["rows"])
    assert [row.get("sound") for row in measured["rows"]] == [True, False, False, False, None]
    assert show(measured).count("(not alike)") == 3


def test_the_section_holds_every_case_and_says_where_and_how():
    where = {"machine": "a machine", "load": (0.1, 0.1, 0.1), "date": "2026-01-01T00:00:00", "images": "MNIST"}
    where |= {"pyro-ppl": "1.9", "numpyro": "0.2", "jax": "0.1", "pythae": None}
    grown = [{"what": "images", "value": 60_000, "images": 60_000, "seconds": 1.5}]
    cases = [case(pyro=20.0, compiled=5.0, onednn=4.0), case(50, pyro=500.0, onednn=100.0)]
    cases[0]["rows"].append({"row": "eager", "failed": True})
    text = section({"circumstances": where, "cases": cases, "growth": grown, "threads": 2}, "a command", "ms")
    for said in (
        "a machine; pyro-ppl 1.9, numpyro 0.2, jax 0.1, pythae not installed; 2026-01-01",
        "| compiled | 5.00 ± 0.10 | 0.25 |  | 1.25 | 150.0 |",
        "| eager | failed |",
        "**MeanField, batch 256, 50 particle(s), cpu**",
        "| images = 60,000 | 60,000 | 1.50 | 25.0 |",
    ):
        assert said in text, f"{said!r} is not in\n{text}"


def test_the_cases_and_rows_exist():
    assert MAIN in CASES
    assert set(CORE) < set(ROWS)
    assert {name for t in TARGETS for name in (t.ours, t.theirs)} <= {*ROWS, "products alone"}
    assert {(t.batch_size, t.particles) for t in TARGETS} <= {(c.batch_size, c.particles) for c in CASES}
    assert case_of("IAF/256/50") in CASES
    for nonsense in ("IAF", "IAF/256", "IAF/x/1", "Unknown/256/1", "IAF/0/1", "IAF/9999/1"):
        with pytest.raises(ValueError):  # noqa: PT011 (argparse makes its own words of it)
            case_of(nonsense)


@pytest.mark.parametrize("particles", [1, 3])
def test_the_products_are_one_encoder_pass_and_a_decoder_pass_for_each_particle(particles):
    gray = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    floor = Floor(Case(batch_size=8, particles=particles), gray)
    # forward, the weights' gradient, and but for the first layer the input's
    encoder = 2 * 784 * HIDDEN + 3 * HIDDEN * 2 * LATENT
    decoder = 3 * LATENT * HIDDEN + 3 * HIDDEN * 784
    assert floor.flops == 2 * 8 * (encoder + particles * decoder)


def test_rows_take_the_steps_that_they_are_told():
    gray = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with validation_enabled():  # as it was before is as it is after
        row = PlainPyro(Case(batch_size=8), gray)
        assert not is_validation_enabled()  # as in the tutorial
        first = row.run(1)
        assert row.run(9) < first
    assert row.count == 10


@pytest.mark.skipif(sys.platform != "linux", reason="the resident memory is read from Linux's /proc")
def test_memory_is_the_peak_of_the_work_and_what_was_kept_before_it():
    def mib(n):
        return torch.ones(n * 2**18)

    watch = memory.Watch("cpu")
    kept = mib(40)
    freed = mib(200)
    del freed
    watch.begin()
    before = watch.mib()
    freed = mib(100)
    del freed
    found = watch.mib()
    assert len(kept)
    assert before == pytest.approx(40, abs=15)
    assert found == pytest.approx(140, abs=15)


def test_the_loss_of_a_few_steps_of_numpyro_is_their_mean():
    """Three steps fill three of the loop's ten places."""
    pytest.importorskip("numpyro")
    gray = torch.rand(64, 1, 28, 28)
    few, many = (NumPyro(Case(batch_size=8), gray).run(steps) for steps in (3, 10))
    assert 400 < many < few < 700  # nats per image; about 784 ln 2 at first
