"""Tags of a file: whether they tell more than how it was written."""

from collections.abc import Mapping
from typing import Final

_TECHNICAL: Final = frozenset(
    {
        "major_brand",
        "minor_version",
        "compatible_brands",
        "encoder",
        "handler_name",
        "vendor_id",
        "language",
        "duration",
        "alpha_mode",
    }
)
"""Tags that containers and encoders write by themselves."""


def telling(*tags: Mapping[str, str]) -> bool:
    """Say whether there is a tag, in any of these, that is more than a container or an encoder writes by itself."""
    return any(name.lower() not in _TECHNICAL for each in tags for name in each)
