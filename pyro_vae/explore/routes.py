"""What the page can ask for."""

import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pyro_vae.errors import InputError
from pyro_vae.explore.asked import Asked
from pyro_vae.explore.opened import Exhibit, Opened

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
PAGE = ("index.html", "explore.css", "plane.js", "page.js", "explore.js")
LARGEST = 2**20  #: bytes of a request

Answer = Callable[[Asked], Awaitable[Response]]


def application(exhibit: Exhibit) -> Starlette:
    """The page and its answers, without the guard."""

    async def start(asked: Asked) -> Response:
        return JSONResponse(about(exhibit))

    async def codes(asked: Asked) -> Response:
        return pixels(asked.run(exhibit).codes.cpu().numpy().astype("<f4"))

    async def image(asked: Asked) -> Response:
        index = asked.number("image", len(exhibit.gray))
        return pixels(exhibit.opened[0].shown(exhibit.gray[index, None]))

    async def decode(asked: Asked) -> Response:
        opened = asked.run(exhibit)
        return pixels(opened.decoded(asked.points(opened)))

    answers: dict[str, Answer] = {"start": start, "codes": codes, "image": image, "decode": decode}
    own = [Route(f"/api/{name}", _answering(answer), methods=["POST"]) for name, answer in answers.items()]
    return Starlette(routes=[*own, *_page()])


def pixels(values: np.ndarray) -> Response:
    """Numbers as they lie in memory, with their shape in a header."""
    shape = ",".join(map(str, values.shape))
    return Response(values.tobytes(), media_type="application/octet-stream", headers={"x-shape": shape})


def about(exhibit: Exhibit) -> dict[str, Any]:
    """What the page must know first: the data, and each run."""
    data, gray = exhibit.data, exhibit.gray
    shape = exhibit.opened[0].shown(gray[:1]).shape[1:]
    return {
        "data": data.name,
        "images": len(gray),
        "shape": list(shape),
        "labels": None if exhibit.labels is None else exhibit.labels.tolist(),
        "classes": data.classes,
        "runs": [_about_run(opened) for opened in exhibit.opened],
    }


def _about_run(opened: Opened) -> dict[str, Any]:
    run = opened.run
    return {
        "name": opened.name,
        "guide": type(run.guide).__name__,
        "latent_dim": run.model.latent_dim,
        "axes": list(opened.axes),
        "activity": opened.activity.tolist(),
        "binary": opened.subject.binarizer.binary,
    }


def _answering(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "a request is JSON")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise HTTPException(413, "the request is too large")
        try:
            return await answer(Asked(json.loads(body)))
        except (InputError, ValueError, RecursionError) as error:  # what JSON cannot read is a ValueError
            return JSONResponse({"error": str(error)}, status_code=400)

    return answered


def _page() -> list[Route]:
    """The files of the page; nothing else is served."""
    folder = files("pyro_vae.explore") / "page"

    def file(name: str) -> Callable[[Request], Awaitable[Response]]:
        content = (folder / name).read_bytes()

        async def sent(request: Request) -> Response:
            return Response(content, media_type=KINDS[name.rpartition(".")[2]])

        return sent

    return [Route("/" if name == "index.html" else f"/{name}", file(name)) for name in PAGE]
