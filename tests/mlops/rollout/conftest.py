from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mlops.database import Database
from mlops.rollout.state import Release, Step
from mlops.rollout.store import ReleaseStore, new_identity

MakeRelease = Callable[..., Release]


@pytest.fixture
def store(database: Database, clock: Callable[[], float]) -> ReleaseStore:
    return ReleaseStore(database, clock)


@pytest.fixture
def make_release() -> MakeRelease:
    """Make a queued canary of version 2 against version 1 in two steps; whatever is named is another."""

    def make(**others: Any) -> Release:
        made = Release(
            identity=new_identity(),
            endpoint="faces",
            model="face-detector",
            strategy="canary",
            candidate="2",
            candidate_digest="b" * 64,
            baseline="1",
            baseline_digest="a" * 64,
            steps=(Step(0.1, 60, 50), Step(0.5, 60, 50)),
            risk="low",
            requested_by="ada",
            reason="it is better",
            created=1_000_000.0,
            updated=1_000_000.0,
        )
        return replace(made, **others)

    return make
