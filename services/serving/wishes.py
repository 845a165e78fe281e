"""The query parameters that say how to mask, the same for pictures and videos."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final, TypeVar

from fastapi import Query

from masking.errors import PolicyError
from masking.face.maskers import STYLES
from masking.face.search import EFFORTS
from masking.policy import HIGHEST_THRESHOLD, LOWEST_THRESHOLD, TONES, Policy
from masking.selection import Listed, Selection

P = TypeVar("P", bound=Policy)
MANY: Final = ("keep", "mask")
"""Parameters that may be given more than once."""

Style = Annotated[
    str,
    Query(
        description="How faces are covered; averages only where the model was trained with people enough.",
        json_schema_extra={"enum": sorted(STYLES)},
    ),
]
Threshold = Annotated[
    float,
    Query(
        description="Detector score from which a face counts; lower finds, and masks, more.",
        ge=LOWEST_THRESHOLD,
        le=HIGHEST_THRESHOLD,
        allow_inf_nan=False,
    ),
]
Search = Annotated[
    str,
    Query(
        description="How hard faces are looked for; fast costs a quarter.", json_schema_extra={"enum": list(EFFORTS)}
    ),
]
Tone = Annotated[
    str,
    Query(
        description="Keep draws surrogates whose skin is light, medium or dark as the face's own; only with surrogate.",
        json_schema_extra={"enum": list(TONES)},
    ),
]
_BOX: Final = {"pattern": r"^-?[0-9.]+(,-?[0-9.]+){3}$"}
Keep = Annotated[
    list[str],
    Query(
        description="x1,y1,x2,y2 in pixels of the upright picture: faces in this region stay visible. May be repeated.",
        json_schema_extra={"items": {"type": "string"} | _BOX},
    ),
]
Mask = Annotated[
    list[str],
    Query(
        description="x1,y1,x2,y2 in pixels of the upright picture: masked whatever is found there. May be repeated.",
        json_schema_extra={"items": {"type": "string"} | _BOX},
    ),
]


def selection_of(keep: Sequence[str], mask: Sequence[str]) -> Selection:
    """Return the selection that the parameters name.

    Raises:
        PolicyError: One of them is no box.
    """
    rows = [_row("keep", text) for text in keep] + [_row("mask", text) for text in mask]
    return Selection(tuple(rows))


def listed(policy: P, regions: str) -> P:
    """Return the policy with a form's list of regions added to its selection.

    Args:
        policy: What the parameters say.
        regions: The list as JSON or CSV; empty adds nothing.

    Raises:
        PolicyError: It is no such list.
    """
    if not regions.strip():
        return policy
    added = Selection.from_json(regions) if regions.lstrip().startswith(("{", "[")) else Selection.from_csv(regions)
    return replace(policy, selection=Selection((*policy.selection.rows, *added.rows), added.only))


def _row(action: str, text: str) -> Listed:
    try:
        x1, y1, x2, y2 = map(float, text.split(","))
    except ValueError:
        raise PolicyError(f"{action} takes four numbers with commas between them: x1,y1,x2,y2") from None
    try:
        return Listed("keep" if action == "keep" else "mask", x1, y1, x2, y2)
    except PolicyError as error:
        raise PolicyError(f"{action}: {error}") from None
