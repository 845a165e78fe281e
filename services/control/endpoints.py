"""Endpoints and the registered models behind them."""

from typing import Annotated, Final

from fastapi import Path
from pydantic import Field

from mlops.registry.version import NAME_PATTERN
from mlops.settings import RegistrySettings

FACES: Final = "faces"
VOICES: Final = "voices"
EndpointName = Annotated[
    str, Field(pattern=NAME_PATTERN, description="`faces`, `voices`, or the name of a registered model.")
]
EndpointPath = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the endpoint.")]


def model_of(endpoint: str, settings: RegistrySettings) -> str:
    """Return the name of the registered model that an endpoint serves."""
    return {FACES: settings.model, VOICES: settings.voice_model}.get(endpoint, endpoint)
