"""examples/iwae_table.py at a small setting, and what it asks for."""

import re
from pathlib import Path

import pytest
import torch
from loaded import example
from looks import coloured

import pyro_vae
from pyro_vae.build import build
from pyro_vae.errors import InputError
from pyro_vae.options import settings_of

iwae_table = example("iwae_table")


@pytest.mark.parametrize("schedule", ["cpu", "paper"])
@pytest.mark.parametrize("row", iwae_table.PUBLISHED)
def test_the_networks_are_the_paper_s(row, schedule):
    """784-200-200-50 and back, or 784-200-200-100-100-100-50 and back, and k samples of the bound the row names."""
    config = settings_of(iwae_table.options(row, iwae_table.SCHEDULES[schedule])).config
    mean_image = torch.rand(1, 28, 28).clamp(0.01, 0.99)
    model, guide = build(config, (1, 28, 28), mean_image)
    encoder = [tuple(p.shape) for p in guide.parameters() if p.dim() == 2]
    decoder = [tuple(p.shape) for p in model.parameters() if p.dim() == 2]
    if row.endswith("-2L"):
        assert encoder == [(200, 784), (200, 200), (200, 200), (100, 100), (100, 100), (100, 100)]
        assert sorted(decoder) == sorted([(100, 50), (100, 100), (200, 100), (200, 100), (200, 200), (784, 200)])
    else:
        assert encoder == [(200, 784), (200, 200), (100, 200)]  # means and scales of 50 dimensions
        assert decoder == [(200, 50), (200, 200), (784, 200)]
    torch.testing.assert_close(model.decoder.output.bias.sigmoid(), mean_image.flatten())
    objective = config.objective()
    assert objective.num_particles == int(row.split("-")[1])
    assert row.split("-")[0] in ("VAE", type(objective).__name__)


def small(out: Path, rows: str, *more: str) -> list[str]:
    """Two epochs on the digits, 30 test images."""
    few = ["--data", "digits", "--epochs", "2", "--images", "30", "--certified-images", "0", "--samples", "200"]
    return [*few, "--rows", rows, "--out", str(out), *more]


def test_digits(tmp_path, capsys):
    iwae_table.main(small(tmp_path, "IWAE-1,IWAE-5-2L"))
    text = (tmp_path / "results.md").read_text()
    rows = dict(re.findall(r"^\| ((?:VAE|IWAE|DReG)-[^ ]+) \|(.*)\|$", text, re.M))
    assert list(rows) == ["VAE-1", "IWAE-5-2L"]  # with one sample IWAE is the VAE
    for cells in (row.split("|") for row in rows.values()):
        nll, negative_elbo = float(cells[0].split("+-")[0]), float(cells[6])
        assert [cell.strip() for cell in cells[3:6]] == ["", "", ""]
        assert 10 < nll < negative_elbo < 64 * 0.6931  # binary 8 x 8 images at 1 bit a pixel have 44.4 nats
        assert 0 <= int(cells[7]) <= 150
        assert int(cells[8]) == 2
    assert "Not in this table: VAE-5, VAE-50, IWAE-5, IWAE-50, DReG-1, DReG-5, DReG-50, VAE-1-2L" in text
    assert coloured(tmp_path / "table.png") == 2  # a curve for each row

    # Again with one row more: what is trained and measured stays as it is.
    kept = [tmp_path / "VAE-1" / name for name in ("checkpoint.last.safetensors", "metrics.json")]
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in kept]
    iwae_table.main(small(tmp_path, "VAE-1,VAE-5"))
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in kept] == before
    assert "| VAE-5 |" in (tmp_path / "results.md").read_text()

    with pytest.raises(InputError, match=r"VAE-1 was trained with other options \(epochs is 2, not 3\)"):
        iwae_table.main(small(tmp_path, "VAE-1", "--epochs", "3"))
    for wrong, words in ((["VAE-7"], "no row VAE-7"), (["VAE-1", "--epochs", "2", "3"], "each of the 1 rows")):
        with pytest.raises(SystemExit):
            iwae_table.main(small(tmp_path, *wrong))
        assert words in capsys.readouterr().err


def test_certified_log_p_of_x_stands_beside_the_bound_on_the_same_images(tmp_path):
    words = {"data": "digits", "likelihood": "Bernoulli", "latent_dim": 2, "epochs": 20, "lr": 5e-3}
    pyro_vae.train(out=tmp_path / "VAE-1", **words)
    row = iwae_table.measure(tmp_path / "VAE-1", images=30, certified=8, samples=20, device="cpu")
    cells = iwae_table.table([row], "digits").splitlines()[-1].split("|")[2:]
    nll, bound, to = (float(cells[i]) for i in (3, 4, 5))
    assert to < 0.3
    assert nll - to < bound < nll + 5  # a bound of few samples is below log p(x)
    assert abs(float(cells[0].split("+-")[0]) - bound) > 1e-3  # that is of 30 images, this of 8
