"""``/v1/releases``: what people want of versions; the worker's loop does it, and holds or rolls back by the figures."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from mlops.registry.version import NAME_PATTERN
from mlops.rollout import state
from mlops.rollout.state import Release
from mlops.rollout.store import ReleaseStore, Unknown
from services.asgi.errors import ForeignOrigin, StrangeHost, UnknownEndpoint, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.actor import Acting
from services.control.approvals import IDENTITY
from services.control.endpoints import model_of
from services.control.planning import Planner, ReleaseRequest
from services.control.stores import AWAY, asked
from services.control.views import Reason, ReleaseList, ReleaseView

Move = Callable[[Release, float, str], Release]
Identity = Annotated[str, Path(description="The release's id.", pattern=IDENTITY)]
UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {404: described("There is no such release, model or version.")}
MOVED: Final = {**UNKNOWN, 409: described("It cannot go that way as it stands."), **responses(ForeignOrigin)}
MOVES: Final[Mapping[str, tuple[Move, str]]] = {
    "promote": (state.advance, "Go on to the next step now; after the last one the candidate becomes champion."),
    "promote-full": (state.promote_full, "Make the candidate champion now, whatever steps are left."),
    "pause": (state.pause, "Stay at the step; the guard goes on watching."),
    "resume": (state.resume, "Go on after a pause, with the step begun anew."),
    "abort": (state.abort, "End it: at once before the candidate has traffic, else by rolling back."),
    "rollback": (state.roll_back, "Give the version before everything again, also after the release succeeded."),
}


class Requested(ReleaseView):
    """The release that was asked for."""

    status: str = Field(description="Its phase: `pending_approval` where people must approve of it first.")
    approval_id: str | None = Field(description="What they approve: `POST /v1/approvals/{approval_id}/approve`.")


class Word(BaseModel, extra="forbid"):
    """Why somebody moves a release."""

    reason: Reason


def releases_router(store: ReleaseStore, planner: Planner) -> APIRouter:
    """Return the routes over the store of releases."""
    router = APIRouter(
        prefix="/v1/releases", tags=["releases"], responses={**responses(StrangeHost, UnknownParameter), **AWAY}
    )

    @router.get("", responses=responses(UnknownEndpoint), dependencies=[Depends(only("endpoint", "most"))])
    async def releases(
        endpoint: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> ReleaseList:
        """List the newest releases, newest first."""
        if endpoint is not None:
            model_of(endpoint, planner.settings.registry)
        found = await asked(lambda: store.list(endpoint, most))
        return ReleaseList(releases=[ReleaseView.of(each) for each in found])

    @router.post("", status_code=202, responses=MOVED, dependencies=[Depends(only())])
    async def start_release(wanted: ReleaseRequest, actor: Acting) -> Requested:
        """Ask for a release. It begins by itself, or once as many people approve as its risk asks for."""
        release, approval = await asked(lambda: planner.create(wanted, actor))
        told = ReleaseView.of(release).model_dump()
        return Requested(**told, status=release.phase, approval_id=approval.identity if approval else None)

    @router.get("/{identity}", responses=UNKNOWN, dependencies=[Depends(only())])
    async def release(identity: Identity) -> ReleaseView:
        """Tell how a release stands."""
        return ReleaseView.of(await asked(lambda: _found(store, identity)))

    for action, (move, about) in MOVES.items():
        _add(router, store, planner, action, move, about)
    return router


def _add(router: APIRouter, store: ReleaseStore, planner: Planner, action: str, move: Move, about: str) -> None:
    """Add the route of one move."""

    async def act(identity: Identity, actor: Acting, word: Word) -> ReleaseView:
        def moved(before: Release, now: float) -> Release:
            after = move(before, now, word.reason)
            if before.phase == state.SUCCEEDED:
                planner.check_back(before)
            return after

        return ReleaseView.of(await asked(lambda: store.act(identity, actor, action, moved, word.reason)))

    router.add_api_route(
        f"/{{identity}}/{action}",
        act,
        methods=["POST"],
        name=f"{action.replace('-', '_')}_release",
        summary=about,
        responses=MOVED,
        dependencies=[Depends(only())],
    )


def _found(store: ReleaseStore, identity: str) -> Release:
    found = store.get(identity)
    if found is None:
        raise Unknown(f"there is no release {identity}")
    return found
