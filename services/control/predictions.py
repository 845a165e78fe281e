"""``GET /v1/predictions``: what was answered, when, by which version, and how long it took."""

import binascii
import math
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Path
from fastapi import Query as Param
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field
from starlette.exceptions import HTTPException

from mlops.predictions.row import OUTCOMES, Prediction
from mlops.predictions.store import PredictionStore, Query
from services.asgi.errors import StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.stores import AWAY, asked

MOST: Final = 1000
NAME: Final = r"^[A-Za-z0-9._:@+-]{1,128}$"
Name = Annotated[str | None, Param(pattern=NAME)]
LATEST: Final = 20_000_000_000
"""Seconds since 1970, in the year 2603. A larger number would be read as milliseconds."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?")


def _in_seconds(given: str) -> str:
    """Refuse a number that would be read as milliseconds."""
    if _NUMBER.fullmatch(given) and abs(float(given)) > LATEST:
        raise ValueError(f"a time is written as 2026-01-31T12:00:00Z, or as seconds since 1970, {LATEST} at most")
    return given


Moment = Annotated[AwareDatetime, BeforeValidator(_in_seconds)]
Since = Annotated[Moment | None, Param(description="Earliest time, such as 2026-01-31T12:00:00Z.")]
Until = Annotated[Moment | None, Param(description="Time before which they are.")]
Most = Annotated[int, Param(ge=1, le=MOST, description="How many at the most, newest first.")]
Cursor = Annotated[
    str | None, Param(max_length=200, description="`next` of the page before; everything else as it was then.")
]


class PredictionView(BaseModel):
    """One prediction."""

    id: str = Field(description="As in the answer's `X-Prediction-Id`.")
    time: datetime = Field(description="When the request began.")
    endpoint: str
    model: str
    version: str = Field(description="Version that answered.")
    variant: str
    release: str = Field(description="Id of the release that ran; empty for none.")
    experiment: str = Field(description="Id of the experiment that ran; empty for none.")
    subject: str = Field(description="Keyed hash of whoever asked; empty where nobody was named.")
    outcome: str = Field(json_schema_extra={"enum": list(OUTCOMES)})
    status: int = Field(description="HTTP status; 0 where a version could not be loaded, which is about no request.")
    seconds: float = Field(description="From request to answer.")
    stages: dict[str, float] = Field(description="Seconds by stage.")
    counts: dict[str, float] = Field(description="What was found, such as faces.")
    cache: str = Field(description="What the cache had to do with it.")
    shadow: bool = Field(description="Whether nobody got this answer.")

    @classmethod
    def of(cls, row: Prediction) -> Self:
        """Return what is told of a row."""
        told = {name: getattr(row, name) for name in cls.model_fields if name not in ("id", "time")}
        return cls(id=row.identity, time=datetime.fromtimestamp(row.time, UTC), **told)


class Predictions(BaseModel):
    """One page of predictions, newest first."""

    predictions: list[PredictionView]
    next: str | None = Field(description="`cursor` of the next page; null at the end.")


def predictions_router(store: PredictionStore) -> APIRouter:
    """Return the routes over the predictions."""
    router = APIRouter(
        prefix="/v1/predictions", tags=["predictions"], responses={**responses(StrangeHost, UnknownParameter), **AWAY}
    )

    @router.get("", dependencies=[Depends(only("endpoint", "version", "variant", "since", "until", "most", "cursor"))])
    async def find(
        endpoint: Name = None,
        version: Name = None,
        variant: Name = None,
        since: Since = None,
        until: Until = None,
        most: Most = 100,
        cursor: Cursor = None,
    ) -> Predictions:
        """List predictions, newest first."""
        begin, end = (None if moment is None else moment.timestamp() for moment in (since, until))
        query = Query(endpoint, version, variant, begin, end, _place(cursor), most)
        found = await asked(lambda: store.find(query))
        more = cursor_of(found[-1]) if len(found) == most else None
        return Predictions(predictions=[PredictionView.of(row) for row in found], next=more)

    @router.get(
        "/{identity}",
        responses={404: described("There is no such prediction (any more).")},
        dependencies=[Depends(only())],
    )
    async def get(identity: Annotated[str, Path(pattern=NAME)]) -> PredictionView:
        """Look up one prediction by its id."""
        found = await asked(lambda: store.get(identity))
        if found is None:
            raise HTTPException(404, "there is no such prediction, or it is not kept any more")
        return PredictionView.of(found)

    return router


def cursor_of(row: Prediction) -> str:
    """Return the text that a page after a row is asked for with."""
    return urlsafe_b64encode(struct.pack(">d", row.time) + row.identity.encode()).decode().rstrip("=")


def _place(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        packed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        (moment,), identity = struct.unpack(">d", packed[:8]), packed[8:].decode("ascii")
    except (binascii.Error, struct.error, ValueError):
        moment, identity = math.nan, ""
    if not math.isfinite(moment) or not re.fullmatch(NAME, identity):
        raise HTTPException(422, "the cursor is none that was given out here")
    return moment, identity
