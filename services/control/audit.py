"""``GET /v1/audit``: who did what, and whether the log is whole."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from mlops.audit import FIRST, AuditLog
from services.asgi.errors import StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.control.stores import AWAY, asked
from services.control.views import EntryList, EntryView, Verdict

Digest = Annotated[str, Query(pattern="^[0-9a-f]{64}$", description="Digest of an entry that was noted before.")]
# Nobody is called so, and PostgreSQL takes no text with a zero in it.
Words = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
LARGEST: Final = 2**63 - 1
"""Of the sequences that the database counts to."""


def audit_router(log: AuditLog) -> APIRouter:
    """Return the routes over the log."""
    router = APIRouter(
        prefix="/v1/audit", tags=["audit"], responses={**responses(StrangeHost, UnknownParameter), **AWAY}
    )

    @router.get("", dependencies=[Depends(only("subject", "actor", "before", "most"))])
    async def entries(
        subject: Words = None,
        actor: Words = None,
        before: Annotated[
            int | None, Query(ge=1, le=LARGEST, description="Only entries older than this sequence.")
        ] = None,
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> EntryList:
        """List entries of the audit log, newest first."""
        found = await asked(lambda: log.entries(subject, actor, before, most))
        return EntryList(entries=[EntryView.of(each) for each in found])

    @router.get("/verify", dependencies=[Depends(only("noted"))])
    async def verify(noted: Digest = FIRST) -> Verdict:
        """Look through the whole log for entries that were changed, removed or put in."""
        broken = await asked(lambda: log.verify(noted))
        newest = await asked(lambda: log.entries(most=1))
        return Verdict(whole=broken is None, broken=broken, newest=newest[0].digest if newest else None)

    return router
