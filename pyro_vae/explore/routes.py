"""What the page can ask for."""

import itertools
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
from pyro_vae.explore.answers import Answers, as_text, codes_line
from pyro_vae.explore.asked import Asked
from pyro_vae.explore.drawing import as_image, style_of
from pyro_vae.explore.memory import Memory
from pyro_vae.explore.opened import Exhibit, Opened
from pyro_vae.explore.worker import Worker
from pyro_vae.explore.worst import worst

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
PAGE = ("index.html", "explore.css", "page.js", "plane.js", "looks.js", "draw.js", "lists.js", "explore.js")
LARGEST = 2**20  #: bytes of a request

Left = Callable[[], Awaitable[bool]]


class Api:
    """The questions of the page, a method each; what takes long is done by the worker."""

    def __init__(self, exhibit: Exhibit):
        self.exhibit, self.style = exhibit, style_of(exhibit)
        self.memory, self.worker = Memory(), Worker()
        self.answers, self.drawings = Answers(exhibit, self.memory), itertools.count()

    async def start(self, asked: Asked, left: Left) -> Response:
        """What the page must know first."""
        style = self.style
        drawing = None if style is None else {"pen": style.pen, "words": style.words}
        return JSONResponse({**about(self.exhibit), "drawing": drawing})

    async def codes(self, asked: Asked, left: Left) -> Response:
        """The codes of the test images under a run, float32."""
        return pixels(asked.run(self.exhibit).codes.cpu().numpy().astype("<f4"))

    async def image(self, asked: Asked, left: Left) -> Response:
        """A test image as it is stored."""
        index = asked.number("image", len(self.exhibit.gray))
        return pixels(self.exhibit.opened[0].shown(self.exhibit.gray[index, None]))

    async def decode(self, asked: Asked, left: Left) -> Response:
        """Images decoded from places of the latent space."""
        opened = asked.run(self.exhibit)
        return pixels(opened.decoded(asked.points(opened)))

    async def line(self, asked: Asked, left: Left) -> Response:
        """Images decoded between the codes of two test images."""
        opened, count = asked.run(self.exhibit), len(self.exhibit.gray)
        first, last = (asked.number(name, count) for name in ("first", "last"))
        return pixels(opened.decoded(codes_line(opened, first, last, asked.number("count", 33, least=2))))

    async def own(self, asked: Asked, left: Left) -> Response:
        """What a run's guide says of an image."""
        opened, key = asked.run(self.exhibit), self.answers.key(asked)
        return JSONResponse(await self.worker.do(lambda: self.answers.own(opened, key), left))

    async def evidence(self, asked: Asked, left: Left) -> Response:
        """log p(x) of an image, and the gap."""
        opened, key = asked.run(self.exhibit), self.answers.key(asked)
        return JSONResponse(await self.worker.do(lambda: self.answers.evidence(opened, key), left))

    async def regions(self, asked: Asked, left: Left) -> Response:
        """q and the true posterior of an image in a plane."""
        opened, key = asked.run(self.exhibit), self.answers.key(asked)
        axes = asked.axes(opened)
        return JSONResponse(await self.worker.do(lambda: self.answers.regions(opened, key, axes), left))

    async def drawn(self, asked: Asked, left: Left) -> Response:
        """A drawing as an image of the data, and its number to ask by."""
        if self.style is None:
            raise InputError("drawings are for images of ink on an empty ground, and these are not")
        image, index = as_image(asked.raster(), self.style), next(self.drawings)
        self.memory.keep(("drawn", index), image)
        shown = self.exhibit.opened[0].shown(image.gray)
        return JSONResponse({"drawn": index, "image": as_text(shown)})

    async def worst(self, asked: Asked, left: Left) -> Response:
        """The images with the worst gap and k-hat."""
        opened, measure = asked.run(self.exhibit), asked.fields.get("measure") is True
        found = await self.worker.do(
            lambda: self.memory.of(("worst", opened.name, measure), lambda: worst(opened, measure)), left
        )
        return JSONResponse(found)


QUESTIONS = ("start", "codes", "image", "decode", "line", "own", "evidence", "regions", "drawn", "worst")


def application(exhibit: Exhibit) -> Starlette:
    """The page and its answers, without the guard."""
    api = Api(exhibit)
    own = [Route(f"/api/{name}", _answering(getattr(api, name)), methods=["POST"]) for name in QUESTIONS]
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


def _answering(answer: Callable[[Asked, Left], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "a request is JSON")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise HTTPException(413, "the request is too large")
        try:
            return await answer(Asked(json.loads(body)), request.is_disconnected)
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
