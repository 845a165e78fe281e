"""``/v1/approvals``: people decide which releases may begin."""

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel

from mlops.rollout.approvals import Approval
from mlops.rollout.store import ReleaseStore, Unknown
from services.asgi.errors import ForeignOrigin, StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.actor import Acting
from services.control.stores import AWAY, asked
from services.control.views import ApprovalList, ApprovalView, Reason

IDENTITY = r"^[0-9a-f]{32}$"
Identity = Annotated[str, Path(description="The approval's id, or that of its release.", pattern=IDENTITY)]


class Decision(BaseModel, extra="forbid"):
    """Why somebody approves or rejects."""

    reason: Reason


def approvals_router(store: ReleaseStore, clock: Callable[[], float] = time.time) -> APIRouter:
    """Return the routes over the store of releases."""
    router = APIRouter(
        prefix="/v1/approvals",
        tags=["approvals"],
        responses={**responses(StrangeHost, UnknownParameter), **AWAY},
        dependencies=[Depends(only())],
    )
    told = {
        404: described("There is no such request for approval."),
        409: described("This person cannot decide this, or it is decided."),
        **responses(ForeignOrigin),
    }

    @router.get("")
    async def approvals() -> ApprovalList:
        """List the newest hundred requests for approval."""
        found = await asked(store.approvals)
        return ApprovalList(approvals=[ApprovalView.of(each, clock()) for each in found])

    @router.get("/{identity}", responses={404: told[404]})
    async def approval(identity: Identity) -> ApprovalView:
        """Tell how a request for approval stands."""
        return ApprovalView.of(await asked(lambda: _found(identity)), clock())

    @router.post("/{identity}/approve", responses=told)
    async def approve(identity: Identity, actor: Acting, decision: Decision) -> ApprovalView:
        """Approve; with the last approval that is needed the release begins. Nobody approves of his own."""
        return await _vote(identity, actor, True, decision.reason)

    @router.post("/{identity}/reject", responses=told)
    async def reject(identity: Identity, actor: Acting, decision: Decision) -> ApprovalView:
        """Reject; one rejection ends the release."""
        return await _vote(identity, actor, False, decision.reason)

    async def _vote(identity: str, actor: str, approves: bool, reason: str) -> ApprovalView:
        return ApprovalView.of(
            await asked(lambda: store.vote(_found(identity).identity, actor, approves, reason)), clock()
        )

    def _found(identity: str) -> Approval:
        found = store.approval(identity)
        if found is None:
            raise Unknown(f"there is no request for approval {identity}")
        return found

    return router
