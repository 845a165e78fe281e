"""Experiments in the database: every move is one conditional update, with its audit entry in the same transaction."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mlops.audit import AuditLog
from mlops.database import Database
from mlops.experiments.observations import Outcome
from mlops.experiments.plan import MOST_VALUE
from mlops.experiments.state import DRAFT, RUNNING, Experiment, looked
from mlops.experiments.table import COLUMNS, EXPERIMENTS, OUTCOMES, experiment_of, row_of
from mlops.rollout.state import IllegalMove
from mlops.rollout.store import Conflict, Unknown

LOOP: Final = "experiment-loop"
"""Who acts where no person does."""


@dataclass(frozen=True, slots=True)
class ExperimentStore:
    """The experiments of the platform. Every method raises `mlops.database.DatabaseAway` where it does not answer.

    Attributes:
        database: Where they are; made with `mlops.experiments.table.TABLES`.
        clock: Seconds since the epoch.
    """

    database: Database
    clock: Callable[[], float] = time.time

    def create(self, experiment: Experiment) -> Experiment:
        """Add an experiment."""
        with self.database.transaction() as connection:
            connection.execute(sa.insert(EXPERIMENTS).values(row_of(experiment)))
            told = {name: row_of(experiment)[name] for name in ("plan", "needs", "reason")}
            self._audit(connection, experiment.requested_by, "create", experiment.identity, told)
        return experiment

    def get(self, identity: str) -> Experiment:
        """Return an experiment.

        Raises:
            Unknown: There is none of that name.
        """
        with self.database.reading() as connection:
            return _get(connection, identity)

    def list(self, endpoint: str | None = None, most: int = 100) -> "Sequence[Experiment]":
        """Return so many of the newest experiments, newest first."""
        asked = sa.select(*COLUMNS).order_by(EXPERIMENTS.c.created.desc(), EXPERIMENTS.c.identity).limit(most)
        asked = asked if endpoint is None else asked.where(EXPERIMENTS.c.endpoint == endpoint)
        with self.database.reading() as connection:
            return [experiment_of(row) for row in connection.execute(asked)]

    def active(self) -> "Sequence[Experiment]":
        """Return those that run, and those that may still hold a split; the latter first, then the oldest."""
        asked = sa.select(*COLUMNS).where((EXPERIMENTS.c.state == RUNNING) | EXPERIMENTS.c.holds)
        with self.database.reading() as connection:
            found = [experiment_of(row) for row in connection.execute(asked)]
        return sorted(found, key=lambda each: (not each.holds, each.started or 0.0, each.identity))

    def act(
        self, identity: str, actor: str, action: str, step: Callable[[Experiment, float], Experiment], reason: str = ""
    ) -> Experiment:
        """Move an experiment as it stands now.

        Args:
            identity: Which.
            actor: Who moves it.
            action: Last part of the name in the audit log, such as ``start``.
            step: The move, one of `mlops.experiments.state`, given the experiment and the time.
            reason: Why, for the audit log.

        Raises:
            Unknown: There is no such experiment.
            IllegalMove: It cannot go that way.
        """
        with self.database.transaction() as connection:
            before = _get(connection, identity)
            return self._write(connection, before, step(before, self.clock()), actor, action, reason)

    def move(self, before: Experiment, after: Experiment, action: str, reason: str = "") -> Experiment:
        """Put a move in place that was decided on ``before``.

        Raises:
            Conflict: It stands elsewhere by now.
        """
        with self.database.transaction() as connection:
            return self._write(connection, before, after, LOOP, action, reason)

    def note(self, experiment: Experiment, note: str) -> None:
        """Say what an experiment waits for; nothing else changes."""
        if note != experiment.note:
            with self.database.transaction() as connection:
                connection.execute(sa.update(EXPERIMENTS).where(*_stands(experiment)).values(note=note))

    def keep_look(
        self, experiment: Experiment, look: Mapping[str, Any], least_p: Mapping[tuple[str, str], float], now: float
    ) -> Experiment:
        """Keep what a look at that time gave; nothing happens where the experiment was moved in between."""
        after = looked(experiment, now, look, least_p)
        values = {name: row_of(after)[name] for name in ("looked", "look", "least_p")}
        with self.database.transaction() as connection:
            connection.execute(sa.update(EXPERIMENTS).where(*_stands(experiment)).values(values))
        return after

    def add_outcomes(self, identity: str, outcomes: "Sequence[Outcome]") -> int:
        """Keep what users say of subjects; returns how many of them are new.

        Raises:
            Unknown: There is no such experiment.
            IllegalMove: It has not begun.
        """
        with self.database.transaction() as connection:
            if _get(connection, identity).state == DRAFT:
                raise IllegalMove("the experiment has not been started, so that nothing can have come of it")
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            new = insert(OUTCOMES).on_conflict_do_nothing().returning(OUTCOMES.c.time)
            rows = [
                {"experiment": identity, "subject": each.subject, "name": each.name, "time": each.time}
                | {"value": each.value}
                for each in outcomes
            ]
            return len(connection.execute(new, rows).all()) if rows else 0

    def outcomes(self, identity: str) -> "Sequence[Outcome]":
        """Return what users have said, without values beyond `MOST_VALUE`, which used to be taken."""
        asked = sa.select(OUTCOMES.c.time, OUTCOMES.c.subject, OUTCOMES.c.name, OUTCOMES.c.value).where(
            OUTCOMES.c.experiment == identity, OUTCOMES.c.value.between(-MOST_VALUE, MOST_VALUE)
        )
        with self.database.reading() as connection:
            return [Outcome(*row) for row in connection.execute(asked)]

    def forget_outcomes(self, keep_seconds: float) -> None:
        """Delete what users said of the subjects of experiments that were stopped so long ago."""
        old = sa.select(EXPERIMENTS.c.identity).where(EXPERIMENTS.c.stopped < self.clock() - keep_seconds)
        with self.database.transaction() as connection:
            connection.execute(sa.delete(OUTCOMES).where(OUTCOMES.c.experiment.in_(old)))

    def _write(
        self, connection: sa.Connection, before: Experiment, after: Experiment, actor: str, action: str, reason: str
    ) -> Experiment:
        if not connection.execute(sa.update(EXPERIMENTS).where(*_stands(before)).values(row_of(after))).rowcount:
            raise Conflict("the experiment was moved by somebody else")
        told = {"from": before.state, "to": after.state, "reason": reason or after.why_stopped}
        self._audit(connection, actor, action, after.identity, told)
        return after

    def _audit(
        self, connection: sa.Connection, actor: str, action: str, subject: str, details: Mapping[str, Any]
    ) -> None:
        AuditLog(self.database, self.clock).append(actor, f"experiment.{action}", subject, details, connection)


def _stands(experiment: Experiment) -> tuple[sa.ColumnElement[bool], ...]:
    return EXPERIMENTS.c.identity == experiment.identity, EXPERIMENTS.c.generation == experiment.generation


def _get(connection: sa.Connection, identity: str) -> Experiment:
    row = connection.execute(sa.select(*COLUMNS).where(EXPERIMENTS.c.identity == identity)).one_or_none()
    if row is None:
        raise Unknown(f"there is no experiment {identity}")
    return experiment_of(row)
