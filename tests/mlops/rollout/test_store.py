"""Releases in the database: one moves at a time, and what follows from a move is there with it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlops.audit import AuditLog
from mlops.database import Database, DatabaseAway
from mlops.rollout import state
from mlops.rollout.approvals import NotAllowed
from mlops.rollout.state import IllegalMove, Release, Step
from mlops.rollout.store import Conflict, ReleaseStore, Unknown


def through(store: ReleaseStore, release: Release, *moves: Any) -> Release:
    """Move a release on, as the loop does."""
    for move in moves:
        release = store.move(release, move(release, store.clock()), "loop", move.__name__)
    return release


def test_a_release_is_kept_as_it_is(store: ReleaseStore, make_release: Any) -> None:
    steps = (Step(0.1, inf, 5), Step(1.0, 0.5, 7))
    made = make_release(steps=steps, policy={"threshold": 0.3, "style": "blur"}, reason="ünder \n'test'")
    created, approval = store.create(made)
    assert (created, approval) == (made, None)
    assert store.get(made.identity) == made
    assert store.get("nothing") is None
    assert store.open() == [made]
    assert store.active("faces") is None


def test_lists_are_newest_first_and_by_endpoint(store: ReleaseStore, make_release: Any) -> None:
    made = [make_release(created=float(n), endpoint=("faces", "voices")[n % 2]) for n in range(6)]
    for each in made:
        store.create(each)
    assert [each.created for each in store.list()] == [5, 4, 3, 2, 1, 0]
    assert [each.created for each in store.list("voices", 2)] == [5, 3]
    assert [each.created for each in store.open()] == [0, 1, 2, 3, 4, 5]
    assert sorted(store.endpoints()) == [("faces", "face-detector"), ("voices", "face-detector")]


def test_the_name_of_a_model_that_has_an_endpoint_is_none_of_its_own(store: ReleaseStore, make_release: Any) -> None:
    # As of old, when what masks could be released by its model's name.
    store.create(make_release(endpoint="face-detector"))
    store.create(make_release(endpoint="demo", model="demo"))
    assert sorted(store.endpoints()) == [("demo", "demo"), ("face-detector", "face-detector")]
    store.create(make_release())
    assert sorted(store.endpoints()) == [("demo", "demo"), ("faces", "face-detector")]


def test_a_release_goes_its_way_with_claim_aliases_and_audit(store: ReleaseStore, make_release: Any) -> None:
    release, _ = store.create(make_release())
    assert store.may_point("face-detector")
    release = through(store, release, state.prepare)
    assert store.active("faces") == release
    assert store.holder("faces") == release.identity
    assert store.wanted() == [("face-detector", "1"), ("face-detector", "2")]
    assert not store.may_point("face-detector")
    assert store.may_point("voice-masker")
    release = through(store, release, state.start, state.advance, state.advance)
    assert {each.alias: each.version for each in store.aliases_pending()} == {
        "champion": "2",
        "previous": "1",
        "challenger": None,
    }
    release = through(store, release, state.succeed)
    assert store.holder("faces") is None
    assert store.wanted() == []
    assert not store.may_point("face-detector")
    for operation in store.aliases_pending():
        store.alias_done(operation)
    assert store.may_point("face-detector")
    assert store.active("faces") is None
    assert store.open() == []
    log = AuditLog(store.database)
    assert [entry.details.get("to") for entry in reversed(log.entries(release.identity))] == [
        None,
        "preparing",
        "running",
        "running",
        "promoting",
        "succeeded",
    ]
    assert log.verify() is None


def test_of_two_who_move_at_the_same_time_one_is_told(store: ReleaseStore, make_release: Any) -> None:
    release, _ = store.create(make_release())
    after = state.prepare(release, 1.0)
    store.move(release, after, "loop", "prepare")
    entries = len(AuditLog(store.database).entries())
    with pytest.raises(Conflict):
        store.move(release, after, "loop", "prepare")
    assert store.get(release.identity) == after
    assert len(AuditLog(store.database).entries()) == entries


def test_a_person_moves_a_release_as_it_stands(store: ReleaseStore, make_release: Any) -> None:
    release = through(store, store.create(make_release())[0], state.prepare, state.start)
    paused = store.act(release.identity, "bob", "pause", lambda each, now: state.pause(each, now, "look"), "look")
    assert paused.phase == "paused"
    with pytest.raises(IllegalMove, match="paused"):
        store.act(release.identity, "bob", "pause", lambda each, now: state.pause(each, now), "again")
    with pytest.raises(Unknown):
        store.act("nothing", "bob", "pause", lambda each, now: state.pause(each, now))
    entry = AuditLog(store.database).entries()[0]
    assert (entry.actor, entry.action, entry.subject) == ("bob", "release.pause", release.identity)
    assert entry.details == {"from": "running", "to": "paused", "step": 0, "reason": "look"}


def test_one_release_of_an_endpoint_and_of_a_model_at_a_time(store: ReleaseStore, make_release: Any) -> None:
    first = through(store, store.create(make_release())[0], state.prepare)
    for others in ({}, {"endpoint": "also-faces"}, {"model": "another"}):
        waiting, _ = store.create(make_release(**others))
        with pytest.raises(IllegalMove, match="split by another"):
            store.move(waiting, state.prepare(waiting, 1.0), "loop", "prepare")
        assert store.get(waiting.identity) == waiting
    elsewhere, _ = store.create(make_release(endpoint="voices", model="voice-masker"))
    through(store, elsewhere, state.prepare)
    store.act(first.identity, "ada", "abort", lambda each, now: state.abort(each, now, "enough"))
    through(store, waiting, state.prepare)


def test_experiments_and_releases_keep_each_other_out(store: ReleaseStore, make_release: Any) -> None:
    assert store.claim("faces", "face-detector", "experiment", ["1", "3"])
    assert store.claim("faces", "face-detector", "experiment", ["1", "4"])
    assert not store.claim("faces", "face-detector", "other", ["1"])
    assert store.wanted() == [("face-detector", "1"), ("face-detector", "4")]
    release, _ = store.create(make_release())
    with pytest.raises(IllegalMove):
        through(store, release, state.prepare)
    store.free("faces", "other")
    assert store.holder("faces") == "experiment"
    store.free("faces", "experiment")
    through(store, release, state.prepare)
    assert not store.claim("faces", "face-detector", "experiment", ["1"])


def test_a_claim_is_won_once_however_many_try(store: ReleaseStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.claim("faces", "face-detector", f"holder-{n}", []), range(24)))
    assert won.count(True) == 1


def test_a_newer_wish_for_an_alias_is_not_done_with_an_older_one(store: ReleaseStore, make_release: Any) -> None:
    release = through(store, store.create(make_release())[0], state.prepare, state.start, state.promote_full)
    older = {each.alias: each for each in store.aliases_pending()}
    store.act(release.identity, "bob", "rollback", lambda each, now: state.roll_back(each, now, "worse"))
    for operation in older.values():
        store.alias_done(operation)
    assert {each.alias: each.version for each in store.aliases_pending()} == {
        "champion": "1",
        "previous": None,
        "challenger": None,
    }


def test_people_approve_and_the_last_one_that_is_needed_lets_it_begin(store: ReleaseStore, make_release: Any) -> None:
    release, approval = store.create(make_release(risk="high"), needed=2, approval_seconds=100)
    assert approval is not None
    assert release.phase == "pending_approval"
    assert store.approval(approval.identity) == store.approval(release.identity) == approval
    with pytest.raises(NotAllowed):
        store.vote(approval.identity, "ada", True, "mine")
    store.vote(approval.identity, "bob", True, "good")
    assert store.open()[0].phase == "pending_approval"
    after = store.vote(approval.identity, "cyd", True, "good, too")
    assert store.open()[0].phase == "queued"
    assert store.approvals() == [after]
    with pytest.raises(NotAllowed, match="approved"):
        store.vote(approval.identity, "dan", True, "late")
    with pytest.raises(Unknown):
        store.vote("nothing", "bob", True, "good")
    told = [(entry.actor, entry.action) for entry in reversed(AuditLog(store.database).entries())]
    assert told == [
        ("ada", "release.create"),
        ("bob", "approval.approve"),
        ("cyd", "approval.approve"),
        ("cyd", "release.approved"),
    ]


def test_one_rejection_ends_a_release_with_the_reason(store: ReleaseStore, make_release: Any) -> None:
    release, approval = store.create(make_release(risk="high"), needed=2, approval_seconds=100)
    assert approval is not None
    store.vote(approval.identity, "bob", False, "not on a Friday")
    ended = store.get(release.identity)
    assert ended is not None
    assert (ended.phase, ended.note) == ("rejected", "bob: not on a Friday")


def test_an_approval_that_comes_too_late_or_for_nothing_is_none(
    store: ReleaseStore, make_release: Any, clock: Any
) -> None:
    release, approval = store.create(make_release(), needed=1, approval_seconds=100)
    other, of_other = store.create(make_release(), needed=1, approval_seconds=1000)
    assert approval is not None
    assert of_other is not None
    clock.now += 101
    with pytest.raises(NotAllowed, match="expired"):
        store.vote(approval.identity, "bob", True, "good")
    store.expire_approvals()
    ended = store.get(release.identity)
    assert ended is not None
    assert (ended.phase, ended.note) == ("rejected", "nobody approved of it in time")
    store.act(other.identity, "ada", "abort", lambda each, now: state.abort(each, now, "no need"))
    with pytest.raises(NotAllowed, match="expired"):
        store.vote(of_other.identity, "bob", True, "good")
    assert [each.state(clock.now) for each in store.approvals()] == ["expired"] * 2, "nobody is asked any more"


def test_who_aborts_a_release_while_others_expire_keeps_none_of_them_from_it(
    store: ReleaseStore, make_release: Any, clock: Any
) -> None:
    aborted, late = (store.create(make_release(created=at), needed=1, approval_seconds=100)[0] for at in (1.0, 2.0))
    clock.now += 101

    # The first transaction to end is the one that looks for what is late.
    @sa.event.listens_for(sa.Engine, "commit", once=True)
    def abort(_: sa.Connection) -> None:
        store.act(aborted.identity, "ada", "abort", lambda each, now: state.abort(each, now, "no need"))

    store.expire_approvals()
    assert [(each.identity, each.phase) for each in store.list()] == [
        (late.identity, "rejected"),
        (aborted.identity, "aborted"),
    ]


def test_a_note_changes_nothing_else_and_only_what_stands(store: ReleaseStore, make_release: Any) -> None:
    release, _ = store.create(make_release())
    store.note(release, "waits")
    assert store.get(release.identity) == replace(release, note="waits")
    store.move(release, state.prepare(release, 1.0), "loop", "prepare")
    store.note(release, "late")
    after = store.get(release.identity)
    assert after is not None
    assert after.note == ""


def test_what_a_release_leaves_stands_and_is_the_next_one_s_baseline(
    store: ReleaseStore, make_release: Any, clock: Any
) -> None:
    assert store.standing("faces") is None
    first = through(
        store,
        store.create(make_release(policy={"threshold": 0.3}))[0],
        state.prepare,
        state.start,
        state.promote_full,
        state.succeed,
    )
    standing = store.standing("faces")
    assert standing is not None
    assert (standing.version, standing.policy) == ("2", {"threshold": 0.3})
    clock.now += 1
    following = {"candidate": "3", "candidate_digest": "c" * 64, "baseline": "2", "baseline_digest": "b" * 64}
    second = store.create(make_release(**following))[0]
    assert second.baseline_policy == {"threshold": 0.3}
    assert store.get(second.identity) == second
    second = through(store, second, state.prepare, state.start, state.promote_full, state.succeed)
    with pytest.raises(IllegalMove, match="later release"):
        store.act(first.identity, "ada", "rollback", lambda each, now: state.roll_back(each, now, "worse"))
    clock.now += 1
    store.act(second.identity, "ada", "rollback", lambda each, now: state.roll_back(each, now, "worse"))
    rolling_back = store.get(second.identity)
    assert rolling_back is not None
    through(store, rolling_back, state.rolled_back)
    standing = store.standing("faces")
    assert standing is not None
    assert (standing.version, standing.policy) == ("2", {"threshold": 0.3})
    store.act(first.identity, "ada", "rollback", lambda each, now: state.roll_back(each, now, "worse, too"))


def test_without_the_database_everything_says_so(store: ReleaseStore, make_release: Any, tmp_path: Path) -> None:
    release, _ = store.create(make_release())
    store.database.close()
    for file in tmp_path.glob("platform.db*"):
        file.unlink()
    (tmp_path / "platform.db").mkdir()
    for call in (
        lambda: store.get(release.identity),
        lambda: store.open(),
        lambda: store.may_point("face-detector"),
        lambda: store.move(release, state.prepare(release, 1.0), "loop", "prepare"),
    ):
        with pytest.raises(DatabaseAway):
            call()


def test_the_tables_are_made_once_by_many(tmp_path: Path, database: Database, make_release: Any) -> None:
    stores = [ReleaseStore(database) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: each.create(make_release()), stores))
    assert len(stores[0].list()) == 8
