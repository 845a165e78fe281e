"""Which aliases of the registry follow from a move of a release: pure; who reaches the registry carries them out."""

from collections.abc import Mapping

from mlops.rollout.state import FAILED, PAUSED, PROMOTING, ROLLING_BACK, RUNNING, SUCCEEDED, Release
from mlops.rollout.traffic import CHALLENGER, CHAMPION

PREVIOUS = "previous"


def wishes(before: Release, after: Release) -> Mapping[str, str | None]:
    """Return the version that each alias is to name after the move, None for no such alias; others stay."""
    if before.phase == after.phase:
        return {}
    if after.phase == RUNNING and before.phase != PAUSED:
        return {CHALLENGER: after.candidate}
    if after.phase == PROMOTING:
        # The same version with another policy is nothing that the registry knows of.
        previous = {PREVIOUS: after.baseline} if after.baseline != after.candidate else {}
        return {CHAMPION: after.candidate, CHALLENGER: None, **previous}
    if after.phase == ROLLING_BACK and after.is_promoted:
        # A version that was rolled back from is none to go back to.
        return {CHAMPION: after.baseline, CHALLENGER: None, PREVIOUS: None}
    if after.phase == ROLLING_BACK or (before.phase in (RUNNING, PAUSED) and after.phase in (SUCCEEDED, FAILED)):
        return {CHALLENGER: None}
    return {}
