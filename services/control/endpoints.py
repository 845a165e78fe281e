"""Endpoints and the registered models behind them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from masking.defaults import check_face_defaults, check_voice_defaults
from masking.errors import PolicyError
from mlops.registry.settings import RegistrySettings
from mlops.registry.version import NAME_PATTERN
from services.asgi.errors import UnknownEndpoint

FACES: Final = "faces"
VOICES: Final = "voices"
EndpointName = Annotated[
    str,
    Field(pattern=NAME_PATTERN, description="`faces`, `voices`, or the name of a registered model of another kind."),
]


def model_of(endpoint: str, settings: RegistrySettings) -> str:
    """Return the name of the registered model that an endpoint serves.

    Raises:
        UnknownEndpoint: It is the name of a model that masks: its traffic is that of ``faces`` or ``voices``, and by
            another name nobody would guard it.
    """
    models = {FACES: settings.model, VOICES: settings.voice_model}
    for name, model in models.items():
        if endpoint == model and endpoint not in models:
            raise UnknownEndpoint(f"{model} is the model behind the endpoint {name}: use {name}")
    return models.get(endpoint, endpoint)


def check_policy(endpoint: str, policy: Mapping[str, Any]) -> None:
    """Raise PolicyError where an endpoint cannot serve by that policy."""
    if endpoint == FACES:
        check_face_defaults(policy)
    elif endpoint == VOICES:
        check_voice_defaults(policy)
    elif policy:
        raise PolicyError(f"{endpoint} masks nothing, and so has no policy: only faces and voices have")
