"""A registered version, and the aliases that versions have here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
ALIASES: Final = (CHAMPION, CHALLENGER, PREVIOUS)
NEWEST: Final = "newest"
DIGEST_TAG: Final = "bundle_digest"
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Names of models that are brought: a name is a folder's name, too."""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version.

    Attributes:
        name: Name of the registered model.
        version: Its number.
        digest: SHA-256 of the manifest of its bundle, hex; empty where it has none.
        tags: Its tags.
        aliases: Its aliases.
        run_id: The run that made it.
        created_ms: When it was registered, in milliseconds since 1970 (UTC).
    """

    name: str
    version: str
    digest: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    run_id: str
    created_ms: int

    @property
    def standing(self) -> str:
        """What it is to those who serve, in words."""
        return "champion" if CHAMPION in self.aliases else "challenger: `masker release start` gives it traffic"
