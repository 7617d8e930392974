"""Who may ask the explorer: those who know the token, from a page of its own, on this machine.

The token stands in every address, so that a page of another origin can guess none of them. The
Host header is checked, since a name of somebody's may point to this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
HTTP = 80  # the port that no browser names
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",  # unless an answer says otherwise
}


@dataclass(frozen=True)
class Door:
    """Lets requests in that know the token, and takes it off the address."""

    app: ASGIApp
    token: str
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self._is_welcome(scope["path"], Headers(scope=scope)):
            path = scope["path"].removeprefix(f"/{self.token}")
            inside = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
            await self.app(inside, receive, _with_headers(send))
        else:
            await Response(status_code=403)(scope, receive, _with_headers(send))

    def _is_welcome(self, path: str, headers: Mapping[str, str]) -> bool:
        port = "" if self.port == HTTP else f":{self.port}"  # as browsers write it
        hosts = {f"{name}{port}" for name in (LOOPBACK, "localhost")}
        origins = {f"http://{host}" for host in hosts}
        given = path.split("/")[1] if path.count("/") > 1 else ""
        return (
            headers.get("host") in hosts
            and headers.get("origin", f"http://{headers.get('host')}") in origins
            and headers.get("sec-fetch-site", "none") in ("none", "same-origin")
            and compare_digest(given.encode(), self.token.encode())
        )


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
