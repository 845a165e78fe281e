"""Whose request it is, for whoever is to get the same variant each time, and who may pick a variant himself."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

SUBJECT_HEADER: Final = "x-subject-id"
VARIANT_HEADER: Final = "x-variant"
SESSION_COOKIE: Final = "masker_session"
LONGEST: Final = 256
"""Characters of a subject that count."""
CLIENTS: Final = 4096
"""Clients whose networks are remembered."""


def subject_of(given: str | None, cookie: str | None, identity: str) -> str:
    """Return the subject of a request.

    Args:
        given: The header ``X-Subject-Id``, if any.
        cookie: The header ``Cookie``, if any; the session named there stands in for a subject.
        identity: Id of the request, which stands in for both: then nobody gets the same variant each time.
    """
    if given and (subject := given.strip()):
        return subject[:LONGEST]
    if cookie is None or SESSION_COOKIE not in cookie:
        return identity
    for pair in cookie.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == SESSION_COOKIE and value:
            return value.strip('"')[:LONGEST]
    return identity


class Overrides:
    """Says who may pick a variant.

    Args:
        networks: Addresses or networks of those who may.

    Raises:
        ValueError: One of them is none.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self._known = lru_cache(CLIENTS)(self._ask)

    def allows(self, client: str | None) -> bool:
        """Say whether a client may, by its address."""
        return client is not None and self._known(client)

    def _ask(self, client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
