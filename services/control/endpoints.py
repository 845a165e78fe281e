"""Endpoints and the registered models behind them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from masking.defaults import check_face_defaults, check_voice_defaults
from masking.errors import PolicyError
from mlops.registry.settings import RegistrySettings
from mlops.registry.version import NAME_PATTERN

FACES: Final = "faces"
VOICES: Final = "voices"
EndpointName = Annotated[
    str, Field(pattern=NAME_PATTERN, description="`faces`, `voices`, or the name of a registered model.")
]


def model_of(endpoint: str, settings: RegistrySettings) -> str:
    """Return the name of the registered model that an endpoint serves."""
    return {FACES: settings.model, VOICES: settings.voice_model}.get(endpoint, endpoint)


def check_policy(endpoint: str, policy: Mapping[str, Any]) -> None:
    """Raise PolicyError where an endpoint cannot serve by that policy."""
    if endpoint == FACES:
        check_face_defaults(policy)
    elif endpoint == VOICES:
        check_voice_defaults(policy)
    elif policy:
        raise PolicyError(f"{endpoint} masks nothing, and so has no policy: only faces and voices have")
