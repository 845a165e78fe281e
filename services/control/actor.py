"""Who acts. There are no accounts yet: the header is a claim, and the audit log has it as such."""

from typing import Annotated

from fastapi import Header

from mlops.actor import ACTOR_PATTERN

Acting = Annotated[
    str,
    Header(
        alias="X-Actor",
        pattern=ACTOR_PATTERN,
        description="Who acts, for the audit log. A claim: nobody checks it, so trust it as far as you trust everybody "
        "who can reach this address.",
    ),
]
"""The parameter of a route that changes something."""
