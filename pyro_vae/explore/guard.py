"""The page answers this machine's own browser alone.

A page of another site can point its own name at 127.0.0.1 (DNS rebinding); its requests then name that site as Host.
Requests from other pages name their Origin.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: what the page may load: itself
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}


class Guard:
    """Refuses requests whose Host or Origin is not this server's, with status 403, before the app sees them.

    Args:
        port: of the server.
    """

    def __init__(self, app: App, port: int):
        self.app = app
        self.hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self.origins = {b"http://" + host for host in self.hosts}

    def allows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these headers is of this page.

        >>> Guard(None, 80).allows([(b"host", b"localhost:80")]), Guard(None, 80).allows([(b"host", b"evil.example")])
        (True, False)
        """
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        return len(hosts) == 1 and hosts[0] in self.hosts and all(origin in self.origins for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and self.allows(scope["headers"]):
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"this page answers only its own address\n"})
        else:  # a websocket, which this page does not have
            await send({"type": "websocket.close", "code": 1008})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS.items()]
        await send(message)

    return sending
