"""``GET /v1/styles``: how faces and voices can be masked here, what a style is good for, and what was measured."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, JsonValue

from masking.face.loading import LoadedModel
from masking.face.maskers import STYLES as FACE_STYLES
from masking.styles import FACE_LABELS, VOICE_LABELS
from masking.voice.maskers import STYLES as VOICE_STYLES
from mlops.settings import MaskingSettings
from services.asgi.errors import StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.serving.endpoints import Endpoint
from services.serving.voices import Voices


class FaceStyle(BaseModel):
    """A style of masking faces."""

    name: str
    label: str = Field(description="What it does, and what it does not.")
    default: bool = Field(description="Whether a request that does not say gets it.")
    available: bool = Field(description="Whether the model that serves has it.")


class VoiceStyle(FaceStyle):
    """A style of masking voices."""

    figures: dict[str, JsonValue] | None = Field(
        description="What was measured of it with the model that serves; null where nothing was."
    )
    model_version: str | None = Field(description="The version that the figures are of.")


class Styles(BaseModel):
    """All styles."""

    faces: list[FaceStyle]
    voices: list[VoiceStyle]


def styles_router(pool: Endpoint[LoadedModel], voices: Endpoint[Voices], defaults: MaskingSettings) -> APIRouter:
    """Return the route; it answers whether or not there is a model."""
    router = APIRouter(prefix="/v1", tags=["masking"], responses=responses(StrangeHost, UnknownParameter))

    @router.get("/styles", dependencies=[Depends(only())])
    async def styles() -> Styles:
        """Tell how faces and voices can be masked, and what was measured of it."""
        return Styles(
            faces=_faces(pool.serving(), defaults.style), voices=_voices(voices.serving(), defaults.voice_style)
        )

    return router


def _faces(model: LoadedModel | None, default: str) -> list[FaceStyle]:
    had = {} if model is None else model.maskers
    return [
        FaceStyle(name=name, label=FACE_LABELS[name], default=name == default, available=name in had)
        for name in FACE_STYLES
    ]


def _voices(voices: Voices | None, default: str) -> list[VoiceStyle]:
    measured = {} if voices is None else voices.figures
    return [
        VoiceStyle(
            name=name,
            label=VOICE_LABELS[name],
            default=name == default,
            available=voices is not None,
            figures=dict(measured[name]) if name in measured else None,
            model_version=None if voices is None else voices.version,
        )
        for name in VOICE_STYLES
    ]
