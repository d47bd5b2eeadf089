"""Exported programs against their originals, in a process that knows nothing of this project."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae.errors import InputError
from pyro_vae.use import exported

SMALL = {"data": "digits", "epochs": 1, "latent_dim": 2, "engine": "eager", "device": "cpu", "final_samples": 2}


def trained(path, **options):
    return pyro_vae.load(pyro_vae.train(out=str(path / "run"), quiet=True, **{**SMALL, **options}).folder.path)


@pytest.mark.parametrize(
    ("options", "moments"),
    [
        ({}, True),
        ({"guide": "FullRank", "decoder": "ConvDecoder", "encoder": "ConvEncoder"}, True),
        ({"guide": "IAF", "likelihood": "DiscretizedLogistic"}, False),
        ({"likelihood": "Categorical"}, True),
        ({"likelihood": "Bernoulli"}, True),
    ],
    ids=str,
)
def test_programs_are_the_originals_on_batches_of_other_sizes(tmp_path, options, moments):
    run = trained(tmp_path, **options)
    programs = pyro_vae.export(run, tmp_path / "out")
    assert all(program.difference < 1e-5 for program in programs.values())
    encoder, decoder = (torch.export.load(tmp_path / "out" / f"{name}.pt2").module() for name in programs)
    for size in (1, 2, 40):
        x, z = torch.rand(size, 1, 8, 8), torch.randn(size, 2)
        lam = run.guide.amortize(x)
        if moments:
            q = run.guide.posterior(lam)
            torch.testing.assert_close(encoder(x), (q.mean, q.variance.sqrt()))
        else:
            torch.testing.assert_close(encoder(x), lam)
        torch.testing.assert_close(decoder(z), run.model.likelihood(run.model.decode(z)).mean)


def test_the_command_writes_programs_that_need_torch_alone(tmp_path, capsys):
    run = trained(tmp_path)
    out = tmp_path / "out"
    exported.main([str(run.folder.path), "--out", str(out)])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"written: {out / 'encoder.pt2'}: x (N, 1, 8, 8) to mean, standard deviation; difference")
    assert said[1].startswith(f"written: {out / 'decoder.pt2'}: z (N, 2) to E[x|z]; difference")
    z = torch.randn(4, 2)
    torch.save(z, tmp_path / "z.pt")
    code = (
        "import sys, torch\n"
        f"program = torch.export.load({str(out / 'decoder.pt2')!r})\n"
        f"torch.save(program.module()(torch.load({str(tmp_path / 'z.pt')!r})), {str(tmp_path / 'x.pt')!r})\n"
        "print([name for name in sys.modules if name.startswith(('pyro', 'guides'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"
    expected = run.model.likelihood(run.model.decode(z)).mean.detach()
    torch.testing.assert_close(torch.load(tmp_path / "x.pt").detach(), expected)
    extra = {"pyro_vae.json": ""}
    torch.export.load(out / "encoder.pt2", extra_files=extra)
    assert json.loads(extra["pyro_vae.json"])["weights"] == run.weights


def test_what_cannot_be_exported_is_one_line(tmp_path):
    with pytest.raises(InputError, match="takes the encoder and the decoder of a VAE, and this run has a Conditional"):
        pyro_vae.export(trained(tmp_path / "a", model="ConditionalVAE"), tmp_path / "out")
    with pytest.raises(InputError, match=r"encoder.* of SemiAmortized: ") as error:
        pyro_vae.export(trained(tmp_path / "b", guide="SemiAmortized"), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("out/*"))
    (tmp_path / "file").write_text("")
    run = str(tmp_path / "a" / "run")
    for words, message in (
        ([], "--out DIR is missing"),
        (["--out", str(tmp_path / "file")], "is a file, and a folder"),
    ):
        with pytest.raises(InputError, match=message):
            exported.main([run, *words])


class Broken(torch.nn.Module):
    def forward(self, x):
        return x.log() * torch.nan


@pytest.mark.parametrize(("original", "words"), [(torch.nn.Sigmoid(), r"0\.\d"), (Broken(), "nan")])
def test_a_program_that_differs_is_refused(original, words):
    def inputs(size):
        return torch.rand(size, 3)

    program = torch.export.export(torch.nn.Tanh(), (inputs(5),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    content = io.BytesIO()
    torch.export.save(program, content)
    assert exported._checked("encoder", content.getvalue(), torch.nn.Tanh(), inputs) < 1e-6
    with pytest.raises(InputError, match=f"the exported encoder differs from the original by {words}"):
        exported._checked("encoder", content.getvalue(), original, inputs)


def test_a_table_is_checked_on_rows_that_it_can_have_and_nothing_is_half_written(tmp_path):
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=90), rng.integers(0, 3, 90).astype(float), rng.integers(0, 2, 90)], -1)
    x[rng.random(x.shape) < 0.2] = np.nan
    run = trained(tmp_path, data={"x": x, "names": ["a", "b", "c"]}, missing="mask")
    out = tmp_path / "out"
    assert all(program.difference < 1e-5 for program in pyro_vae.export(run, out).values())
    before = (out / "encoder.pt2").stat().st_mtime_ns
    (out / "decoder.pt2").unlink()
    (out / "decoder.pt2").mkdir()
    with pytest.raises(InputError, match=r"out cannot be written: decoder\.pt2 is a folder"):
        pyro_vae.export(run, out)
    assert (out / "encoder.pt2").stat().st_mtime_ns == before
