"""``POST /v1/sql``: questions over the lake."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from mlops.predictions.analysis import QUERY_CHARACTERS, NoAnswer, ask
from mlops.predictions.lake import TABLES
from mlops.settings import Settings
from services.asgi.errors import ForeignOrigin, StrangeHost
from services.asgi.parameters import only
from services.asgi.problems import described, responses

AT_ONE_TIME: Final = 2
WAIT_SECONDS: Final = 5.0


class Question(BaseModel, extra="forbid"):
    """One question."""

    query: str = Field(
        min_length=1,
        max_length=QUERY_CHARACTERS,
        description=f"One SELECT in DuckDB's SQL over the tables {', '.join(TABLES)}.",
        examples=["select version, count(*), median(seconds) from predictions group by 1"],
    )


class TableView(BaseModel):
    """What came of it."""

    columns: list[str]
    types: list[str] = Field(description="As DuckDB calls them.")
    rows: list[list[Any]] = Field(description="Times are UTC.")
    truncated: bool = Field(description="Whether there were more rows than are answered (setting sql.most_rows).")


def sql_router(settings: Settings) -> APIRouter:
    """Return the route over the lake."""
    router = APIRouter(prefix="/v1/sql", tags=["sql"], responses=responses(StrangeHost, ForeignOrigin))
    places = asyncio.Semaphore(AT_ONE_TIME)

    @router.post(
        "",
        dependencies=[Depends(only())],
        responses={
            422: described("It is no single SELECT, breaks a limit, or makes no sense; or a parameter is not valid."),
            503: described("Other questions are being answered."),
        },
    )
    async def answer(question: Question) -> TableView:
        """Answer a question over predictions, features and results; it can only read, and only those."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await places.acquire()
        except TimeoutError as error:
            raise HTTPException(503, "other questions are being answered", {"Retry-After": "5"}) from error
        try:
            table = await asyncio.to_thread(ask, question.query, settings.predictions.parquet_path, settings.sql)
        except NoAnswer as error:
            raise HTTPException(422, str(error)) from error
        finally:
            places.release()
        return TableView(columns=table.columns, types=table.types, rows=table.rows, truncated=table.truncated)

    return router
