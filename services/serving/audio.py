"""The HTTP route that masks voices in sound files: at once where they are short, else by way of a job."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import JSONResponse, Response

from masking.errors import (
    DamagedMedia,
    DeadlineExceeded,
    EmptyMedia,
    MediaTooLarge,
    ModelError,
    PolicyError,
    StorageError,
    UnsupportedMedia,
)
from masking.voice.policy import VoicePolicy
from mlops.jobs.table import Job
from mlops.settings import MaskingSettings
from services.asgi.errors import (
    BrokenBody,
    Busy,
    ForeignOrigin,
    JobsAway,
    NoOverride,
    NotReady,
    SlowBody,
    StorageFull,
    StrangeHost,
    UnknownParameter,
    UnknownVariant,
)
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.serving.answer import report_header
from services.serving.endpoints import VOICES
from services.serving.jobs import JobView, address
from services.serving.openapi import AUDIO_TYPES, MASKED_SOUND, body_of
from services.serving.sound import SoundPlane
from services.serving.voice_wishes import Background, Consistent, VoiceStyle

ASYNC: Final = "respond-async"
PROBLEMS: Final = responses(
    EmptyMedia,
    BrokenBody,
    StrangeHost,
    ForeignOrigin,
    SlowBody,
    MediaTooLarge,
    UnsupportedMedia,
    DamagedMedia,
    PolicyError,
    UnknownParameter,
    UnknownVariant,
    NoOverride,
    ModelError,
    NotReady,
    Busy,
    JobsAway,
    DeadlineExceeded,
    StorageFull,
    StorageError,
)
AUDIO_BODY: Final = body_of(
    AUDIO_TYPES, "The sound, raw or as the file of a form. Its kind is found out from its bytes.", regions=False
)
ACCEPTED: Final[dict[str, Any]] = {
    "description": "The sound is taken; its job is at Location.",
    "model": JobView,
    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
}
Prefer = Annotated[
    list[str], Header(description=f"{ASYNC} (RFC 7240) asks for a job however short the sound is; others are ignored.")
]


def audio_router(plane: SoundPlane, defaults: MaskingSettings) -> APIRouter:
    """Return the route over a plane; ``defaults`` is what a request that does not say gets."""
    router = APIRouter(prefix="/v1", tags=["masking"], responses=PROBLEMS)

    @router.post(
        "/mask/audio",
        openapi_extra=AUDIO_BODY,
        responses={200: MASKED_SOUND, 202: ACCEPTED},
        response_class=Response,
        dependencies=[Depends(only("style", "background", "consistent"))],
    )
    async def mask_audio(
        request: Request,
        style: VoiceStyle = defaults.voice_style,
        background: Background = defaults.voice_background,
        consistent: Consistent = False,
        prefer: Prefer = [],  # noqa: B006  # FastAPI copies it for each request
    ) -> Response:
        """Mask every voice of a sound file: the answer is the masked file or, where it is long, a job."""
        later = wishes_job(prefer)
        answer = await plane.mask(request, VoicePolicy(style, background, consistent), later=later)
        if isinstance(answer, Job):
            headers = {"Location": address(answer), "Cache-Control": "no-store"}
            if later:
                headers["Preference-Applied"] = ASYNC
            return JSONResponse(JobView.of(answer).model_dump(mode="json"), 202, headers)
        report = answer.report
        headers = answer.account.headers(VOICES) | {
            "X-Utterances-Masked": str(len(report.utterances)),
            "X-Needs-Review": str(report.needs_review).lower(),
            "X-Cache": "bypass",
            "X-Mask-Report": report_header(report.as_dict()),
        }
        return Response(answer.data, media_type=report.kind, headers=headers)

    return router


def wishes_job(preferences: list[str]) -> bool:
    """Say whether the values of ``Prefer`` ask for a job (RFC 7240, 4.1)."""
    given = (part.split(";")[0].strip().lower() for value in preferences for part in value.split(","))
    return ASYNC in given
