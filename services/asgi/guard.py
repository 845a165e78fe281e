"""Who may talk to a server that asks for no token on loopback: programs and its own pages, not other sites' pages.

A browser sends a page's requests to any address it names, loopback too, and a host name can be made to point to it (DNS
rebinding). So the Host must be ours, and what is not a plain read must not come from another origin.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from mlops.settings import ServerSettings
from services.asgi.errors import ForeignOrigin, RequestError, StrangeHost

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HOSTS: Final = 1024
"""Hosts whose names are remembered."""


class Guard:
    """Says which requests are refused: those to strange hosts and from foreign origins.

    Args:
        settings: Hosts and origins that are ours, or allowed.
    """

    def __init__(self, settings: ServerSettings) -> None:
        hosts = frozenset(host.lower().strip("[]") for host in settings.allowed_hosts)
        self._all = "*" in hosts
        self._is_ours = lru_cache(HOSTS)(lambda host: host_name(host.decode("latin-1")) in hosts)
        self._origins = frozenset(origin.lower() for origin in (*settings.allowed_origins, *settings.cors_origins))

    def refusal(self, scope: Scope) -> RequestError | None:
        """Return why a request is refused; None where it is not."""
        hosts, origins, site = [], [], b"none"
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site":
                site = value
        if len(hosts) != 1 or not (self._all or self._is_ours(hosts[0])):
            return StrangeHost("use one of the names in the setting server.allowed_hosts")
        if scope.get("method") not in READS and self._is_foreign(origins, site, hosts[0]):
            return ForeignOrigin("the page's origin is not in the setting server.allowed_origins")
        return None

    def _is_foreign(self, origins: Sequence[bytes], site: bytes, host: bytes) -> bool:
        if origins:
            if "*" in self._origins:
                return False
            ours = host.decode("latin-1").lower()
            told = [origin.decode("latin-1").lower() for origin in origins]
            return not all(
                "*" in self._origins or origin in self._origins or _netloc(origin) == ours for origin in told
            )
        # Browsers that send no Origin still say where a request comes from; programs send neither.
        return site not in (b"none", b"same-origin")


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
