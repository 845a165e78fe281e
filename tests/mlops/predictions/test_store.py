from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.database import Database, DatabaseAway
from mlops.predictions.alike import alike, lines
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.store import EXPIRE_ROWS, SAMPLE, Judgement, PredictionStore, Query, finding, grouping
from mlops.predictions.table import PREDICTIONS
from mlops.predictions.writer import Writer
from mlops.rollout.guard import Moments, judge
from tests.mlops.guards import GUARDS


@pytest.fixture
def store(database: Database) -> PredictionStore:
    return PredictionStore(database, clock=lambda: 10_000.0)


@pytest.fixture
def writer(database: Database) -> Writer:
    return Writer(database)


def test_inserting_twice_is_inserting_once(store: PredictionStore, writer: Writer, make) -> None:
    rows = [make(time=1000.0 + number) for number in range(600)]
    assert writer.insert(rows) == 0
    assert writer.insert(rows[300:]) == 0
    assert store.find(Query(limit=1000)) == rows[::-1]


def test_a_bad_row_among_many_is_refused_alone(store: PredictionStore, writer: Writer, make) -> None:
    rows = [make(time=1000.0 + number, status=None if number == 77 else 200) for number in range(100)]
    assert writer.insert(rows) == 1
    assert len(store.find(Query())) == 99


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), [7, 6, 5, 4, 3, 2, 1, 0]),
        (Query(limit=3), [7, 6, 5]),
        (Query(endpoint="faces"), [7, 5, 3, 1]),
        (Query(endpoint="faces", limit=2), [7, 5]),
        (Query(endpoint="faces", limit=3, until=1006.0), [5, 3, 1]),
        (Query(version="2"), [7, 6, 5, 4]),
        (Query(variant="challenger"), [7, 6, 3, 2]),
        (Query(endpoint="faces", version="2", variant="challenger"), [7]),
        (Query(since=1002.0, until=1005.0), [4, 3, 2]),
        (Query(endpoint="faces", since=1002.0, until=1005.0), [3]),
        (Query(endpoint="nowhere"), []),
    ],
)
def test_finding(store: PredictionStore, writer: Writer, make, query: Query, expected: list[int]) -> None:
    rows = [
        make(
            time=1000.0 + number,
            endpoint="faces" if number & 1 else "voices",
            variant="challenger" if number & 2 else "champion",
            version="2" if number & 4 else "1",
        )
        for number in range(8)
    ]
    writer.insert(rows)
    assert store.find(query) == [rows[number] for number in expected]


def test_pages_give_every_row_once_even_at_one_time(store: PredictionStore, writer: Writer, make) -> None:
    rows = [make(time=1000.0 + number // 5) for number in range(23)]
    writer.insert(rows)
    seen: list[Prediction] = []
    before = None
    while page := store.find(Query(before=before, limit=4)):
        seen += page
        before = page[-1].time, page[-1].identity
    assert seen == sorted(rows, key=lambda row: (row.time, row.identity), reverse=True)


def test_one_is_found_by_its_name(store: PredictionStore, writer: Writer, make) -> None:
    from mlops.predictions.row import made_at

    named = make()
    row = make(identity=named.identity, time=made_at(named.identity) + 3)
    odd = make(identity="a-name-of-another-kind", time=5.0)
    writer.insert([row, odd, make()])
    assert store.get(row.identity) == row
    assert store.get(odd.identity) == odd
    assert store.get(new_identity()) is None


def test_windows_tell_the_variants_apart(store: PredictionStore, writer: Writer, make) -> None:
    champion = [make(time=1000.0 + n, seconds=0.01 * n, counts={"faces": n % 3}) for n in range(10)]
    candidate = {"variant": "challenger", "version": "2"}
    rows = [
        *champion,
        make(time=1001, outcome="failed", status=500, counts={}, **candidate),
        make(time=1002, outcome="refused", status=503, counts={}, **candidate),
        make(time=1003, outcome="rejected", status=422, counts={}, **candidate),
        make(time=1004, outcome="cached", seconds=9.0, **candidate),
        make(time=1005, seconds=0.5, **candidate),
        make(time=1006, outcome="failed", status=0, seconds=0.0, counts={"load_refused": 1.0}, **candidate),
        make(time=1006, shadow=True, counts={"faces": 3, "champion_faces": 2}, **candidate),
        make(time=1007, shadow=True, counts={"faces": 4, "champion_faces": 5}, **candidate),
        make(time=999.9, **candidate),
        make(time=1010, **candidate),
        make(time=1005, endpoint="voices"),
    ]
    writer.insert(rows)
    store.judge([Judgement(1005, rows[14].identity, "faces", "2", "challenger", faces=2, open=1)] * 2)
    windows = store.windows("faces", 1000, 1010)
    assert set(windows) == {("challenger", "2"), ("champion", "1")}
    new, old = windows["challenger", "2"], windows["champion", "1"]
    assert (new.requests, new.failed, new.load_refused) == (4, 1, 1), "none that was rejected, refused or cached"
    assert sorted(new.seconds) == [0.02, 0.02, 0.5]
    assert new.faces == Moments(4, 11.0, 33.0)
    assert (new.judged, new.open_found) == (2, 1)
    assert (old.requests, old.failed, old.judged, old.load_refused) == (10, 0, 0, 0)
    assert sorted(old.seconds) == pytest.approx([0.01 * n for n in range(10)])


def test_a_window_may_be_of_one_release(store: PredictionStore, writer: Writer, make) -> None:
    writer.insert([make(time=1000.0), make(time=1001.0, release="r"), make(time=1002.0, release="r", seconds=0.5)])
    assert store.windows("faces", 1000, 1010)["champion", "1"].requests == 3
    window = store.windows("faces", 1000, 1010, "r")["champion", "1"]
    assert (window.requests, sorted(window.seconds)) == (2, [0.02, 0.5])


def test_a_window_has_the_utility_of_answers_that_tell(store: PredictionStore, writer: Writer, make) -> None:
    told = [("ok", 0.5), ("ok", 1), ("ok", None), ("cached", 0.1), ("failed", 0.2)]
    rows = [make(outcome=outcome, counts={} if share is None else {"utility": share}) for outcome, share in told]
    writer.insert(rows)
    window = store.windows("faces", 999, 1001)["champion", "1"]
    assert window.utility == Moments(2, 1.5, 1.25)
    assert (window.requests, window.seconds.size) == (4, 3)


def test_a_window_without_traffic_is_empty(store: PredictionStore) -> None:
    assert store.windows("faces", 0, 10_000) == {}


def test_durations_of_many_answers_are_sampled_without_bias(store: PredictionStore, writer: Writer, make) -> None:
    rng = np.random.default_rng(5)
    seconds = rng.exponential(0.02, 2 * SAMPLE)
    rows = [
        make(time=1000.0 + n / 1000, seconds=float(each), variant="champion" if n % 4 else "challenger")
        for n, each in enumerate(seconds)
    ]
    writer.insert(rows)
    windows = store.windows("faces", 1000, 2000)
    many, few = windows["champion", "1"], windows["challenger", "1"]
    assert (many.requests, few.requests) == (SAMPLE * 3 // 2, SAMPLE // 2)
    assert SAMPLE * 0.9 < len(many.seconds) + len(few.seconds) < SAMPLE * 1.1
    assert len(many.seconds) / len(few.seconds) == pytest.approx(3, rel=0.1), "the same share of both"
    assert np.median(many.seconds) == pytest.approx(np.median(seconds), rel=0.1)


def test_whoever_asks_much_has_one_duration_and_decides_nothing(store: PredictionStore, writer: Writer, make) -> None:
    """Two alike versions: one subject sends much at a time, another little, and each is drawn to one of them."""
    heavy = [make(subject="a", variant="challenger", version="2", seconds=0.1 + n / 1000) for n in range(300)]
    light = [make(subject="b", seconds=0.001) for _ in range(300)]
    writer.insert([*heavy, *light])
    windows = store.windows("faces", 999, 1001)
    candidate, baseline = windows["challenger", "2"], windows["champion", "1"]
    assert (candidate.requests, candidate.seconds.size, baseline.seconds.size) == (300, 1, 1)
    assert candidate.seconds[0] in {row.seconds for row in heavy}
    assert store.windows("faces", 999, 1001)["challenger", "2"].seconds == candidate.seconds, "the same at every look"
    verdict = judge(baseline, candidate, GUARDS)
    assert verdict.outcome == "inconclusive"
    assert "may be chance" in verdict.reasons[0]
    # Of as many subjects the same difference is a fault.
    many = [make(subject=f"{n}", variant="challenger", version="3", seconds=0.1) for n in range(60)]
    writer.insert([*many, *(make(subject=f"{n}", version="3", seconds=0.001) for n in range(60, 120))])
    windows = store.windows("faces", 999, 1001)
    assert judge(windows["champion", "3"], windows["challenger", "3"], GUARDS).outcome == "fail"


def test_who_picked_a_variant_is_in_no_window(store: PredictionStore, writer: Writer, make) -> None:
    drawn, picked = make(), [make(counts={"faces": 9, "picked": 1.0}, seconds=9.0) for _ in range(5)]
    writer.insert([drawn, *picked])
    store.judge([Judgement(1000.0, row.identity, "faces", "1", "champion", 2, 1) for row in (drawn, picked[0])])
    window = store.windows("faces", 999, 1001)["champion", "1"]
    assert (window.requests, window.seconds.tolist(), window.faces) == (1, [0.02], Moments(1, 2.0, 4.0))
    assert (window.judged, window.open_found) == (2, 1)


def test_a_candidate_that_has_answered_nobody_is_not_passed(store: PredictionStore, writer: Writer, make) -> None:
    for outcome, status in (("rejected", 422), ("refused", 503), ("cached", 200)):
        rows = [make(time=2000.0, variant="challenger", outcome=outcome, status=status) for _ in range(100)]
        writer.insert([*rows, *(make(time=2000.0) for _ in range(100))])
        windows = store.windows("faces", 1999, 2001)
        verdict = judge(windows["champion", "1"], windows["challenger", "1"], GUARDS)
        assert verdict.outcome == "inconclusive", outcome
        assert f"had 0 of at least {GUARDS.minimum} requests answered" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        (finding(Query(endpoint="faces", version="1", since=5.0, until=9.0)), "predictions_version"),
        (finding(Query(since=5.0, until=9.0)), "SEARCH predictions USING PRIMARY KEY"),
        (finding(Query(before=(9.0, "x"))), "SEARCH predictions USING PRIMARY KEY"),
        (grouping("faces", PREDICTIONS.c.time.between(5.0, 9.0)), "SEARCH predictions USING PRIMARY KEY"),
        (
            sa.select(PREDICTIONS.c.time).where(PREDICTIONS.c.experiment == "e", PREDICTIONS.c.experiment != ""),
            "predictions_experiment",
        ),
    ],
)
def test_an_index_answers(database: Database, writer: Writer, make, statement: sa.Select, part: str) -> None:
    writer.insert([make(time=1000.0 + number) for number in range(200)])
    compiled = statement.compile(dialect=sa.dialects.sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    told = " ".join(row.detail for row in plan)
    assert part in told
    assert "SCAN predictions" not in told
    if "ORDER BY" in str(compiled) and "GROUP BY" not in str(compiled):
        assert "TEMP B-TREE" not in told


def test_what_is_old_goes_in_batches_and_nothing_else(store: PredictionStore, writer: Writer, make) -> None:
    old = EXPIRE_ROWS + 100
    writer.insert([make(time=1000.0 + number / 1000) for number in range(old)])
    kept = [make(time=9_500.0 + number) for number in range(3)]
    writer.insert(kept)
    store.judge([Judgement(1000.0, "x", "faces", "1", "champion", 1, 0)])
    deleted = []
    while gone := store.expire(1000):
        deleted.append(gone)
    assert sum(deleted) == old
    assert len(deleted) == 2
    assert store.find(Query()) == kept[::-1]


def test_many_rows_of_one_time_expire_too(store: PredictionStore, writer: Writer, make) -> None:
    writer.insert([make(time=1000.0) for _ in range(EXPIRE_ROWS + 50)])
    assert store.expire(1000) == EXPIRE_ROWS + 50


def test_reading_writes_nothing_and_waits_for_no_writer(database: Database, store, writer: Writer, make) -> None:
    row = make()
    writer.insert([row])
    with database.transaction() as connection:
        connection.execute(sa.delete(PREDICTIONS))
        assert store.find(Query()) == [row]
    with pytest.raises(DatabaseAway), database.reading() as connection:
        connection.execute(sa.delete(PREDICTIONS))
    with database.transaction() as connection:
        connection.execute(sa.delete(PREDICTIONS))


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=16)
NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.lists(
        st.builds(
            Prediction,
            identity=st.uuids(version=4).map(lambda each: each.hex),
            time=st.floats(0, 4e9),
            endpoint=TEXT, model=TEXT, version=TEXT, variant=TEXT, release=TEXT, experiment=TEXT, subject=TEXT,
            outcome=TEXT, status=st.integers(0, 599), seconds=NUMBER,
            stages=st.dictionaries(TEXT, NUMBER, max_size=3), counts=st.dictionaries(TEXT, NUMBER, max_size=3),
            cache=TEXT, shadow=st.booleans(),
        ),
        min_size=1, max_size=8, unique_by=lambda row: row.identity,
    )
)  # fmt: skip
def test_whatever_a_row_holds_comes_back_from_spool_and_table(store, writer, tmp_path: Path, rows) -> None:
    place = tmp_path / "1.rows"
    place.write_bytes(lines(alike(rows)))
    assert writer.bring(place) == (len(rows), {"damaged": 0, "refused": 0})
    assert not place.exists()
    assert [store.get(row.identity) for row in rows] == rows
    with store.database.transaction() as connection:
        connection.execute(sa.delete(PREDICTIONS))
