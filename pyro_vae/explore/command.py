"""The command ``explore``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pyro_vae.command_line import CommandParser
from pyro_vae.defaults import torch_defaults
from pyro_vae.device import choose_device
from pyro_vae.errors import InputError
from pyro_vae.explore.one_page import export_page
from pyro_vae.explore.opened import Exhibit, open_runs
from pyro_vae.explore.server import require_server, serve
from pyro_vae.options import add_trust, parse_arguments
from pyro_vae.runs import load
from pyro_vae.terminal import printable
from pyro_vae.traces import run_folders
from pyro_vae.user_cache import cache_folder


def explore(
    runs: Sequence[Path],
    port: int = 0,
    browser: bool = True,
    data_root: Path | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    device: str = "auto",
    trust: bool = False,
) -> None:
    """Open a local page on runs of one data set, until Ctrl-C.

    Args:
        runs: run folders; pictures among them are passed over. Without one, a run on the digits is trained first.
        port: of the page on 127.0.0.1; 0 takes a free one.
        browser: open the page in the user's browser.
        data_root: the folder of the data sets; by default the folder that the run was trained with.
        checkpoint: which weights; by default the best ones, if there are any.
        device: auto takes CUDA if there is a GPU.
        trust: what the runs' config.yaml names may be any code, which runs (SECURITY.md).

    Raises:
        InputError: where a run cannot be shown, or the port cannot be had.
        Stopped: at Ctrl-C.
    """
    require_server()
    serve(exhibited(runs, data_root, checkpoint, device, trust), port, browser)


@torch_defaults()
def exhibited(
    runs: Sequence[Path],
    data_root: Path | None = None,
    checkpoint: str | None = None,
    device: str = "auto",
    trust: bool = False,
) -> Exhibit:
    """The runs, loaded, with their test images; arguments as for :func:`explore`."""
    where = choose_device(device)
    paths = run_folders(list(dict.fromkeys(Path(run) for run in runs or [first_run()])))
    return open_runs([load(path, checkpoint, where, trust) for path in paths], data_root, where, trust)


def first_run() -> Path:
    """A run on the digits in this user's cache folder, trained once."""
    from pyro_vae.lifecycle import train_or_resume

    folder = cache_folder() / "explore" / "digits"
    known = (folder / "config.yaml").exists()
    what = "shows the digits" if known else "trains the digits first (less than a minute, once)"
    print(printable(f"no run is named: explore {what}: {folder}"), flush=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}): name a run") from error
    train_or_resume(folder, quiet=True, data="digits", latent_dim=2, epochs=100)
    return folder


def command_parser() -> CommandParser:
    """The options of the command."""
    parser = CommandParser(
        prog="python -m pyro_vae.explore",
        description="Play with runs in a local page: the latent plane, and where each guide puts q(z|x).",
        exit_on_error=False,
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="DIR", help="run folders; none trains the digits first")
    parser.add_argument(
        "--export", type=Path, metavar="PATH", help="write the plane of one run as a page that needs no Python, and end"
    )
    parser.add_argument("--no_browser", action="store_true", help="print the address, and open no browser")
    parser.add_function_arguments(explore, skip={"runs", "browser", "trust"}, as_group=False)
    add_trust(parser)
    parser.epilog_lines = [
        "examples:",
        "  python -m pyro_vae.explore runs/mean-field runs/iaf",
        "  python -m pyro_vae.explore runs/iaf --export plane.html",
    ]
    return parser


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.explore --help``."""
    given = parse_arguments(command_parser(), argv)
    rest = {name: given[name] for name in ("data_root", "checkpoint", "device", "trust")}
    if given.export is None:
        explore(given.runs or [], given.port, not given.no_browser, **rest)
        return
    path = export_page(exhibited(given.runs or [], **rest), given.export)
    print(printable(f"page: {path} ({path.stat().st_size / 2**20:.1f} MiB)"))
