"""The HTTP route that takes videos: streamed to disk, looked into, and handed on as a job."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, PolicyError, UnsupportedMedia
from masking.face.loading import LoadedModel
from masking.face.maskers import masker_of
from masking.policy import DOUBTS, SOUNDS, UNTOUCHED, VideoPolicy
from masking.voice.policy import VoicePolicy
from mlops.jobs.spool import new_identity
from mlops.jobs.table import Job
from mlops.settings import LimitSettings, MaskingSettings
from services.asgi.errors import (
    BrokenBody,
    Busy,
    ForeignOrigin,
    JobsAway,
    NotReady,
    SlowBody,
    StorageFull,
    StrangeHost,
    UnknownParameter,
)
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.asgi.upload import save_media
from services.serving.desk import JobDesk
from services.serving.endpoints import Endpoint
from services.serving.jobs import VIDEO_SUFFIXES, JobView, address
from services.serving.openapi import body_of
from services.serving.voice_wishes import Background, Consistent, VoiceStyle
from services.serving.voices import Voices
from services.serving.wishes import MANY, Keep, Mask, Search, Style, Threshold, Tone, listed, selection_of

MASK_VIDEO: Final = "mask-video"
VOICE: Final = ("voice_style", "voice_background", "voice_consistent")
VIDEO_PARAMETERS: Final = ("style", "threshold", "search", "tone", "doubt", "untouched", "voice", *VOICE, *MANY)
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
    NotReady,
    Busy,
    JobsAway,
    StorageFull,
)
VIDEO_BODY: Final = body_of(
    VIDEO_SUFFIXES, "The video, raw or as the file of a form. Its kind is found out from its bytes."
)
ACCEPTED: Final[dict[str, Any]] = {
    "description": "The video is taken; its job is at Location.",
    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
}

Doubt = Annotated[
    str,
    Query(
        description="A frame in which a face may be open is masked whole, or the whole video is withheld.",
        json_schema_extra={"enum": list(DOUBTS)},
    ),
]
Untouched = Annotated[
    str,
    Query(
        description="Stretches of H.264 in which nothing is masked are coded anew, or copied.",
        json_schema_extra={"enum": list(UNTOUCHED)},
    ),
]
Voice = Annotated[
    str,
    Query(
        description="What becomes of the sound: none, with other voices, or as it is.",
        json_schema_extra={"enum": list(SOUNDS)},
    ),
]
Probe = Callable[[Path], object]
"""Raises the MediaError of a file that cannot be masked."""


def video_router(
    desk: JobDesk,
    pool: Endpoint[LoadedModel],
    voices: Endpoint[Voices],
    probe: Probe,
    limits: LimitSettings,
    defaults: MaskingSettings,
) -> APIRouter:
    """Return the route over a desk; ``defaults`` is what a request that does not say gets."""
    router = APIRouter(prefix="/v1", tags=["masking"], responses=PROBLEMS)

    @router.post(
        "/mask/video",
        status_code=202,
        openapi_extra=VIDEO_BODY,
        responses={202: ACCEPTED},
        dependencies=[Depends(only(*VIDEO_PARAMETERS, many=MANY))],
    )
    async def mask_video(
        request: Request,
        response: Response,
        style: Style = defaults.style,
        threshold: Threshold = defaults.threshold,
        search: Search = "fast",
        tone: Tone = "drop",
        doubt: Doubt = "mask",
        untouched: Untouched = "code",
        voice: Voice = "drop",
        voice_style: VoiceStyle | None = None,
        voice_background: Background | None = None,
        voice_consistent: Consistent | None = None,
        keep: Keep = [],  # noqa: B006  # FastAPI copies it for each request
        mask: Mask = [],  # noqa: B006
    ) -> JobView:
        """Take a video and mask every face of it; the answer is the job that does it."""
        wishes = (voice_style, voice_background, voice_consistent)
        if voice != "mask" and any(wish is not None for wish in wishes):
            raise PolicyError(f"{', '.join(VOICE)} say how voices are masked: they need voice=mask")
        sounds = VoicePolicy(
            voice_style or defaults.voice_style, voice_background or defaults.voice_background, bool(voice_consistent)
        )
        rows = selection_of(keep, mask)
        policy = VideoPolicy(
            style, threshold, search, rows, tone=tone, doubt=doubt, sound=voice, voice=sounds, untouched=untouched
        )
        masker_of(style, pool.current().maskers)
        if voice == "mask":
            voices.current()
        job = await _taken(request, desk, probe, limits, policy)
        response.headers.update({"Location": address(job), "Cache-Control": "no-store"})
        return JobView.of(job)

    return router


async def _taken(request: Request, desk: JobDesk, probe: Probe, limits: LimitSettings, policy: VideoPolicy) -> Job:
    await desk.check_room()
    identity = new_identity()
    try:
        source = await asyncio.to_thread(desk.spool.make, identity)
        regions = await save_media(
            request,
            source,
            limits.video_bytes,
            limits.video_upload_seconds,
            limits.video_idle_seconds,
            desk.spool.has_room,
        )
        await asyncio.to_thread(probe, source)
        return await desk.add(identity, MASK_VIDEO, listed(policy, regions).facts())
    except BaseException:
        # Whatever it was, cancellation too: what is no job leaves no media.
        desk.spool.remove(identity)
        raise
