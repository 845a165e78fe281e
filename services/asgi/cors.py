"""Which other sites' pages may read answers (CORS, Fetch standard): none, unless the settings name them."""

from collections.abc import Sequence
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

METHODS: Final = ("GET", "POST", "DELETE")
SENT: Final = (
    "Content-Type",
    "Cache-Control",
    "Inference-Header-Content-Length",
    "Prefer",
    "X-Request-Id",
    "X-Subject-Id",
    "X-Variant",
)
READ: Final = (
    "Inference-Header-Content-Length",
    "Location",
    "Retry-After",
    "X-Cache",
    "X-Endpoint",
    "X-Faces-Masked",
    "X-Mask-Report",
    "X-Model-Version",
    "X-Needs-Review",
    "X-Prediction-Id",
    "X-Request-Id",
    "X-Utterances-Masked",
    "X-Variant",
)


def cors(origins: Sequence[str]) -> list[Middleware]:
    """Return the layer that lets pages of these origins read answers; none where there are none."""
    if not origins:
        return []
    layer = Middleware(
        CORSMiddleware, allow_origins=origins, allow_methods=METHODS, allow_headers=SENT, expose_headers=READ
    )
    return [layer]
