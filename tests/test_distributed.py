"""Several processes that train one run are one process with the sum of their batches.

Where nothing is drawn (the Delta guide, gray images), losses and weights are those of one process up to rounding. The
processes of most tests are forked from a server that has imported everything; torchrun itself, which takes seconds to
start, is used where it matters what it does.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from guides import MLPEncoder
from guides.mean_field import MeanField
from pyro_vae import svi
from pyro_vae.data import load_data
from pyro_vae.distributed import Workers
from pyro_vae.engine import SVI, StepOptions, training_step
from pyro_vae.errors import InputError
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
from pyro_vae.objectives import Trace_ELBO
from pyro_vae.options import settings_of
from pyro_vae.runs import RunFolder
from pyro_vae.seeds import random_seed
from pyro_vae.training.prepare import prepare

SMALL = ["--encoder.hidden_dims", "[16]", "--decoder.hidden_dims", "[16]", "--latent-dim", "3", "--final-samples", "2"]
DELTA = [*SMALL, "--guide", "Delta", "--likelihood", "Gaussian", "--binarize", "none", "--clip-norm", "5"]
MEAN_FIELD = [*SMALL, "--likelihood", "Bernoulli", "--lr", "0.02", "--epochs", "3"]

M2 = [*SMALL, "--model", "M2", "--objective", "TraceEnum_ELBO", "--labels", "100", "--likelihood", "Bernoulli"]


def work(rank: int, where: str, jobs: list[tuple[str, list[str]]]) -> None:
    """The life of one of two processes: each job is a run, whose weights and first images it leaves in a file."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{where}/meeting", rank=rank, world_size=2)
    from pyro_vae.engine import svi as engine_svi
    from pyro_vae.training.log import Log

    Log.pictures = lambda *_: None  # type: ignore[method-assign]
    engine_svi.compile_graph = lambda graph, batch: None  # the graph runs operation by operation
    seen: dict[str, Any] = {}
    step = SVI.step_record

    def spy(self: SVI, x: Tensor, **others):
        record = step(self, x, **others)
        seen["rows"] = [*seen.get("rows", []), len(x)]
        seen["seed"] = torch.initial_seed()
        seen["weights"] = [p.detach() for p in self.program.parameters]
        return record

    SVI.step_record = spy  # type: ignore[method-assign]
    for name, argv in jobs:
        seen.clear()
        error = ""
        try:
            svi.main(argv)
        except InputError as refused:
            error = str(refused)
        torch.save({**seen, "error": error}, f"{where}/{name}.{rank}.pt")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes left of some runs: a folder with the runs, and what each of the two saw of one."""
    where = tmp_path_factory.mktemp("pair")
    out = {name: ["--out", str(where / name)] for name in ("delta", "uneven", "compiled", "noise", "parts", "labels")}
    jobs = [
        ("delta", [*DELTA, "--epochs", "3", "--batch-size", "50", "--engine", "eager", *out["delta"]]),
        ("uneven", [*DELTA, "--epochs", "3", "--batch-size", "648", "--engine", "eager", *out["uneven"]]),
        ("compiled", [*DELTA, "--epochs", "3", "--batch-size", "50", "--engine", "compiled", *out["compiled"]]),
        ("noise", [*MEAN_FIELD, "--batch-size", "50", "--engine", "eager", *out["noise"]]),
        ("parts", [*MEAN_FIELD, "--epochs", "1", "--batch-size", "50", "--engine", "eager", *out["parts"]]),
        ("parts", ["--resume", str(where / "parts"), "--epochs", "3"]),
        ("labels", [*M2, "--epochs", "1", "--batch-size", "50", "--engine", "eager", *out["labels"]]),
        ("taken", [*MEAN_FIELD, *out["noise"]]),
    ]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pyro_vae.svi", "pyro_vae.training.log", "torch.utils.tensorboard", "sklearn.datasets"]
    )
    processes = [context.Process(target=work, args=(rank, str(where), jobs)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    return lambda name: (RunFolder(where / name), [torch.load(where / f"{name}.{rank}.pt") for rank in (0, 1)])


def same_run(one: RunFolder, other: RunFolder, tolerance: float) -> None:
    for row, expected in zip(other.read_trace(), one.read_trace(), strict=True):
        assert row[:3] == expected[:3]
        for name in ("elbo", "log_likelihood", "kl", "beta", "grad_norm", "lr"):
            wanted = getattr(expected, name)
            assert wanted is None or getattr(row, name) == pytest.approx(wanted, rel=tolerance, abs=tolerance), name
    for part in ("model", "guide"):
        expected = one.restore("last")[part]
        for name, weight in other.restore("last")[part].items():
            torch.testing.assert_close(weight, expected[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "batch"), [("delta", 100), ("uneven", 1296), ("compiled", 100)])
def test_without_noise_two_processes_are_one_with_twice_the_batch(train, pair, name, batch):
    """Up to rounding, which three epochs of Adam amplify. 1,296 images leave one to the second step, and so to one
    process; the norm that gradients are clipped to is reached at every step."""
    together, _ = pair(name)
    alone = train("alone", *DELTA, "--epochs", "3", "--batch-size", str(batch))
    assert all(row.grad_norm > 5 for row in alone.read_trace() if row.split == "train")
    same_run(alone, together, tolerance=1e-3)


def test_both_processes_end_with_the_same_weights(pair):
    for name in ("delta", "uneven", "noise", "parts", "labels"):
        _, (first, second) = pair(name)
        assert len(first["weights"]) > 5
        for one, other in zip(first["weights"], second["weights"], strict=True):
            assert torch.equal(one, other), "to the last bit"


def test_each_process_draws_its_own_noise_and_the_elbo_is_that_of_one(train, pair):
    together, (first, second) = pair("noise")
    assert first["rows"] == 3 * [*12 * [50], 49]
    assert second["rows"] == 3 * [*12 * [50], 48]
    assert first["seed"] == random_seed(0, "sample", 2) != second["seed"]
    alone = train("alone", *MEAN_FIELD, "--batch-size", "100")
    rows = [(a, b) for a, b in zip(alone.read_trace(), together.read_trace(), strict=True) if a.split == "test"]
    # The same images in the same order and the same first weights, other noise; nats per image.
    assert all(a.elbo == pytest.approx(b.elbo, abs=0.4) for a, b in rows)
    assert all(a.elbo != b.elbo for a, b in rows)
    assert rows[-1][0].elbo > rows[0][0].elbo + 0.5, "a run that learns nothing would be near another like it"


def test_images_with_a_label_join_the_part_of_each_process(pair):
    """50 images and 20 with a label in each; the 97 images of the last step are 49 and 48."""
    _, (first, second) = pair("labels")
    assert first["rows"] == [*12 * [70], 69]
    assert second["rows"] == [*12 * [70], 68]


def test_a_resumed_run_of_two_processes_goes_on_as_if_never_interrupted(pair):
    whole, parts = pair("noise")[0].read_trace(), pair("parts")[0].read_trace()
    assert [row[:9] for row in parts] == [row[:9] for row in whole]  # all but the time


def test_another_number_of_processes_does_not_go_on(pair):
    folder, _ = pair("delta")
    with pytest.raises(InputError, match=r"of 2 process.*not 1: torchrun --nproc-per-node=2 -m pyro_vae.svi --resume"):
        svi.main(["--resume", str(folder.path)])
    assert folder.config_text().startswith("# torchrun --nproc-per-node=2 -m pyro_vae.svi --config config.yaml\n")


def test_what_is_wrong_in_one_process_is_known_to_both(pair):
    _, (first, second) = pair("taken")
    assert "already holds a run" in first["error"]
    assert first["error"] == second["error"]


@pytest.mark.parametrize(
    ("options", "size", "said"),
    [
        ({"objective": {"class_path": "Trace_ELBO", "init_args": {"free_bits": 1.0}}}, 2, "free bits look at the KL"),
        ({"device": "mps"}, 2, "one device for 2 processes|no MPS|MPS"),
    ],
)
def test_what_several_processes_cannot_do_is_one_line(options, size, said):
    config = settings_of({"likelihood": "Bernoulli", **options}).config
    with pytest.raises(InputError, match=said) as error:
        prepare(config, load_data("digits"), Workers(1, size))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("rows", "size"), [(100, 2), (97, 2), (10, 3), (2, 3), (1, 4)])
def test_every_image_of_a_minibatch_counts_once(rows, size):
    parts = [Workers(rank, size).part(torch.arange(rows)) for rank in range(size)]
    weight = torch.zeros(rows)
    for own, share in parts:
        assert len(own) > 0
        weight[own] += share / len(own)
    torch.testing.assert_close(weight, torch.full((rows,), 1 / rows))
    assert max(len(own) for own, _ in parts) - min(len(own) for own, _ in parts) <= 1


class Twin(Workers):
    """One of two processes whose other half sees the same images and draws the same noise."""

    def sum(self, tensors):
        return [2 * t for t in tensors]


@pytest.mark.parametrize("captured", [False, True])
def test_gradients_are_averaged_and_clipped_between_the_pass_and_the_optimizer(captured):
    """Two halves with weights of 3/4 have 3/2 of the mean: the norm tells, and clipping hides it from the step."""

    def run(workers, share, clip):
        torch.manual_seed(0)
        model = VAE(MLPDecoder(3, (1, 6, 6), [8]), Bernoulli((1, 6, 6)), StandardNormal(3))
        guide = MeanField(MLPEncoder((1, 6, 6), [8]), 3)
        optimizer = torch.optim.SGD([*model.parameters(), *guide.parameters()], 1e-2)
        options = StepOptions(clip_norm=clip, per_image=True, workers=workers)
        name = "captured" if captured else "eager"
        engine = SVI(model, guide, optimizer, Trace_ELBO(), engine=name, options=options)
        x = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(3)).bernoulli()
        records = torch.stack([torch.stack(training_step(engine, x, share=share)[:4]) for _ in range(4)])
        return records, [p.detach() for p in engine.program.parameters]

    alone, weights = run(Workers(), 1.0, 0.5)
    found, found_weights = run(Twin(0, 2), 0.5, 0.5)
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found_weights, weights, rtol=1e-5, atol=1e-6)
    heavier, heavier_weights = run(Twin(0, 2), 0.75, 0.5)
    torch.testing.assert_close(heavier, 1.5 * alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(heavier_weights, weights, rtol=1e-4, atol=1e-5)


# ---- torchrun itself


PATIENCE = 500  #: seconds, for machines that are busy with other things; it takes about ten


@contextmanager
def torchrun(*words: str, **options) -> Iterator[subprocess.Popen]:
    """Two processes, which are gone afterwards."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [*command, "--rdzv-endpoint=localhost:0", *words], env=environment, **pipes, **options
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # torchrun ends its processes when it is ended


def test_ctrl_c_ends_both_processes_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "a"
    flags = [*SMALL, "--epochs", "100000", "--batch-size", "50", "--engine", "eager", "--out", str(out)]
    with torchrun("-m", "pyro_vae.svi", *flags) as process:
        while not (out / "trace.csv").exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=PATIENCE)
    assert errors.count(f"Resume with: torchrun --nproc-per-node=2 -m pyro_vae.svi --resume {out}") == 1
    assert "interrupted" not in errors
    assert said.count("epoch 1/100000") <= 1


FAULTY = '''
import os
from guides.mean_field import MeanField

class Faulty(MeanField):
    """Fails in the second process, in training."""

    def posterior(self, lam):
        if os.environ.get("RANK") == "1" and len(lam) > 40:
            raise RuntimeError("the second process fails")
        return super().posterior(lam)
'''


def test_a_process_that_fails_takes_the_other_with_it(tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    flags = [
        *SMALL,
        "--batch-size",
        "50",
        "--engine",
        "eager",
        "--guide",
        "faulty.Faulty",
        "--out",
        str(tmp_path / "a"),
    ]
    with torchrun("-m", "pyro_vae.svi", *flags, cwd=tmp_path) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "the second process fails" in errors
