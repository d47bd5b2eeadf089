"""The page's server: a request is checked, answered by a function of this package, and sent back.

Starlette and uvicorn, and a page written by hand: a drag is one small request whose answer is the pixels themselves.
"""

import socket
import webbrowser
from contextlib import suppress
from importlib.util import find_spec

from pyro_vae.errors import InputError, Stopped
from pyro_vae.explore.guard import Guard
from pyro_vae.explore.opened import Exhibit

LOOPBACK = "127.0.0.1"


def require_server() -> None:
    """
    Raises:
        InputError: where the libraries of the extra ``explore`` are not installed.
    """
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise InputError(f"explore needs {' and '.join(missing)}: pip install 'pyro_vae[explore]'")


def listening(port: int) -> socket.socket:
    """A socket on the loopback; port 0 takes a free one.

    Raises:
        InputError: where the port cannot be had.
    """
    try:
        # asyncio sends at once (TCP_NODELAY) by sockets that name their protocol; others wait 40 ms for a drag's bytes
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((LOOPBACK, port))
        opened.listen()  # a browser that comes before the server waits
    except (OSError, OverflowError) as error:
        opened.close()
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--port {port} cannot be had ({why}): leave it out, or choose another") from error
    return opened


def serve(exhibit: Exhibit, port: int, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Args:
        port: 0 takes a free one.
        browser: open the page in the user's browser.

    Raises:
        InputError: where the port cannot be had.
        Stopped: at Ctrl-C.
    """
    import uvicorn

    from pyro_vae.explore.routes import application

    with listening(port) as opened:
        chosen = opened.getsockname()[1]
        app = Guard(application(exhibit), chosen)
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        address = f"http://{LOOPBACK}:{chosen}/"

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                print(f"explore: {address}   (Ctrl-C ends it)", flush=True)  # from here uvicorn answers the signal

        with suppress(KeyboardInterrupt):  # uvicorn stops, and gives the signal on
            if browser:
                webbrowser.open(address)
            Server(config).run(sockets=[opened])
        raise Stopped("stopped")
