"""Who may talk to a server that asks for no token on loopback: programs and its own pages, not other sites' pages.

A browser sends a page's requests to any address it names, loopback too, and a host name can be made to point to it (DNS
rebinding). So the Host must be ours, and what is not a plain read must not come from another origin.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops.settings import ServerSettings
from services.asgi.errors import ForeignOrigin, RequestError, StrangeHost
from services.asgi.problems import problem

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuses requests to strange hosts and from foreign origins."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in settings.allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        error = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await problem(error)(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return StrangeHost("use one of the names in the setting server.allowed_hosts")
        if scope.get("method") not in READS and self._is_foreign(headers, hosts[0]):
            return ForeignOrigin("the page's origin is not in the setting server.allowed_origins")
        return None

    def _is_ours(self, host: str) -> bool:
        return "*" in self._hosts or host_name(host) in self._hosts

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        origins = [origin.lower() for origin in headers.getlist("origin")]
        if origins:
            return not all(origin in self._origins or _netloc(origin) == host.lower() for origin in origins)
        # Browsers that send no Origin still say where a request comes from; programs send neither.
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def host_name(host: str) -> str | None:
    """Return the name in a Host header, without port and brackets, in lower case; nothing if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
