"""AEVB's Figure 5: images drawn from models of MNIST with 2, 5, 10 and 20 latent dimensions.

    python examples/aevb/figure5.py --out runs/aevb
    python examples/aevb/figure5.py --out runs/aevb --schedule paper      # for CUDA

Each image is E[x|z] for z drawn from the prior. Writes ``figure5.png`` and ``figure5.md``; runs are shared with the
other figures.
"""

import torch
from matplotlib.figure import Figure
from network import arguments, ended, trained, write

from pyro_vae.models import VAE
from pyro_vae.plots import show_tiles
from pyro_vae.runs import Run
from pyro_vae.seeds import seeded

LATENT_DIMS = [2, 5, 10, 20]
SIDE = 10  #: images along one side of a panel


@torch.no_grad()
def picture(runs: dict[int, Run]) -> Figure:
    """A panel of draws for each number of latent dimensions."""
    figure = Figure(figsize=(3.6 * len(runs), 4), layout="constrained")
    for axes, (dims, run) in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs.items(), strict=True):
        assert isinstance(run.model, VAE)
        with seeded(0):
            z = run.model.prior().sample((SIDE * SIDE,))
        images = run.model.likelihood(run.model.decode(z)).mean.numpy()
        show_tiles(axes, images, SIDE)
        axes.set(title=f"{dims} latent dimensions", xticks=[], yticks=[])
    return figure


def main(argv: list[str] | None = None) -> None:
    dims = {"type": int, "nargs": "+", "default": LATENT_DIMS}
    args = arguments("figure5", __doc__, argv, ("--mnist-dims", dims))
    runs = {dims: trained(args, "mnist", dims) for dims in args.mnist_dims}
    text = ended({("mnist", dims): run for dims, run in runs.items()})
    write(args, 5, f"{text}\nThe picture: E[x|z] at z drawn from the prior, none chosen.\n", picture(runs))


if __name__ == "__main__":
    main()
