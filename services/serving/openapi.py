"""What the OpenAPI document says of the media endpoints beyond what FastAPI finds out by itself."""

from collections.abc import Iterable
from typing import Any, Final

BINARY: Final = {"type": "string", "format": "binary"}
REGIONS: Final = {
    "type": "string",
    "description": "Regions to keep or to mask in addition, as JSON or CSV; see docs/regions.md.",
}
IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
AUDIO_TYPES: Final = (
    "audio/wav",
    "audio/flac",
    "audio/mpeg",
    "audio/aac",
    "audio/mp4",
    "audio/ogg",
    "audio/webm",
    "audio/x-matroska",
)


def body_of(kinds: Iterable[str], description: str, *, regions: bool = True) -> dict[str, Any]:
    """Describe a body that is media of these types, raw or as the file of a form, beside which may lie regions."""
    form = {
        "type": "object",
        "properties": {"file": BINARY} | ({"regions": REGIONS} if regions else {}),
        "required": ["file"],
        "additionalProperties": False,
    }
    content = {kind: {"schema": BINARY} for kind in (*kinds, "application/octet-stream")}
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": content | {"multipart/form-data": {"schema": form}},
        }
    }


IMAGE_BODY: Final = body_of(
    IMAGE_TYPES,
    "The image, raw or as the file of a form. Its kind is found out from its bytes; "
    "other content types than these are taken as raw.",
)


def _header(description: str, **schema: object) -> dict[str, Any]:
    return {"description": description, "required": True, "schema": {"type": "string"} | schema}


ID_HEADERS: Final = {
    "X-Prediction-Id": _header(
        "Names this answer; every answer gets a new one, cached ones too.", pattern="^[0-9a-f]{32}$"
    ),
    "X-Model-Version": _header("Version of the model that found the faces, or masked the voices."),
    "X-Endpoint": _header("The endpoint that answered.", enum=["faces", "voices"]),
    "X-Variant": _header("The variant that answered: champion, challenger, or an arm of an experiment."),
    "X-Request-Id": _header("The request's id, for log lines.", pattern="^[A-Za-z0-9._-]{1,64}$"),
}
REPORT_HEADER: Final = _header(
    'What was done, as ASCII JSON of up to 8192 characters; a longer one lacks its lists and has "truncated": true.'
)
MASKED_IMAGE: Final[dict[str, Any]] = {
    "description": "The masked image: same kind and size, upright, without metadata.",
    "content": {kind: {"schema": BINARY} for kind in IMAGE_TYPES},
    "headers": {
        **ID_HEADERS,
        "X-Faces-Masked": _header("How many faces are masked.", pattern="^[0-9]+$"),
        "X-Cache": _header(
            "Where the answer was: in this process, in Redis, nowhere, or not looked for since the request's "
            "Cache-Control says no-cache or no-store.",
            enum=["hit-memory", "hit-redis", "miss", "bypass"],
        ),
        "X-Mask-Report": REPORT_HEADER,
    },
}
MASKED_SOUND: Final[dict[str, Any]] = {
    "description": "The masked sound: same container, rate, channels and length, without metadata.",
    "content": {kind: {"schema": BINARY} for kind in AUDIO_TYPES},
    "headers": {
        **ID_HEADERS,
        "X-Utterances-Masked": _header("How many stretches of speech are masked.", pattern="^[0-9]+$"),
        "X-Needs-Review": _header(
            "Whether a person should listen to it, as where the file is damaged and ends early.", enum=["true", "false"]
        ),
        "X-Cache": _header("Always bypass: each answer has pseudo-voices of its own.", enum=["bypass"]),
        "X-Mask-Report": REPORT_HEADER,
    },
}
