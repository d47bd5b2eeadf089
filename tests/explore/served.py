"""A server of explore's page in a thread of this process, and requests as the page makes them."""

import http.client
import json
import threading
from contextlib import contextmanager

import numpy as np
import uvicorn

from pyro_vae.explore.guard import Guard
from pyro_vae.explore.routes import application
from pyro_vae.explore.server import LOOPBACK, listening


class Client:
    """Requests to a served page."""

    def __init__(self, port):
        self.port = port
        self.address = f"http://{LOOPBACK}:{port}/"

    def send(self, method, path, body=None, **headers):
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=120)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def ask(self, name, status=200, **fields):
        """The answer to a question of the page: a table, or an array of bytes with its shape."""
        code, headers, body = self.send("POST", f"/api/{name}", json.dumps(fields), content_type="application/json")
        assert code == status, body
        if headers["content-type"] == "application/json":
            return json.loads(body)
        shape = tuple(map(int, headers["x-shape"].split(",")))
        return np.frombuffer(body, np.uint8 if len(body) == np.prod(shape) else "<f4").reshape(shape)


@contextmanager
def serving(exhibit):
    """A client of the exhibit's page."""
    with listening(0) as opened:
        port = opened.getsockname()[1]
        config = uvicorn.Config(Guard(application(exhibit), port), log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
        thread.start()
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(10)
