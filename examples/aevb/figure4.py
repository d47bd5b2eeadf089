"""AEVB's Figure 4: the learned manifolds of two latent dimensions, on Frey Faces and MNIST.

    python examples/aevb/figure4.py --out runs/aevb
    python examples/aevb/figure4.py --out runs/aevb --schedule paper      # for CUDA

Each picture is E[x|z] for z on a grid over the latent plane, in equal steps of the prior's probability (AEVB, Appendix
A). Writes ``figure4.png`` and ``figure4.md``; the other figures share the runs.
"""

import torch
from matplotlib.figure import Figure
from network import TITLES, arguments, ended, trained, write

from pyro_vae import plots
from pyro_vae.models import VAE
from pyro_vae.run_pictures import latent_plane
from pyro_vae.runs import Run

SIDE = {"frey_faces": 15, "mnist": 21}  #: images along one side


@torch.no_grad()
def picture(runs: dict[str, Run]) -> Figure:
    """The manifolds side by side, with the prior's quantiles along their axes."""
    figure = Figure(figsize=(6 * len(runs), 6.8), layout="constrained")
    for axes, (data, run) in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs.items(), strict=True):
        assert isinstance(run.model, VAE)
        plane, quantiles = latent_plane(SIDE[data])
        images = run.model.likelihood(run.model.decode(plane)).mean.numpy()
        plots.show_tiles(axes, images, SIDE[data])
        plots.name_plane(axes, images.shape[-2:], quantiles.numpy())
        axes.set(title=TITLES[data], aspect="auto")
    return figure


def main(argv: list[str] | None = None) -> None:
    data = {"choices": SIDE, "nargs": "+", "default": list(SIDE)}
    args = arguments("figure4", __doc__, argv, ("--data", data))
    runs = {data: trained(args, data, 2) for data in args.data}
    text = ended({(data, 2): run for data, run in runs.items()})
    write(args, 4, f"{text}\nE[x|z] over the latent plane, in equal steps of the prior's probability.\n", picture(runs))


if __name__ == "__main__":
    main()
