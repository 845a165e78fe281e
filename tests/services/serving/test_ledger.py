import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from masking.errors import DamagedMedia, DeadlineExceeded, ModelError, PolicyError
from mlops.logging import request_id
from mlops.predictions.capture_file import Capture
from mlops.predictions.row import Prediction
from mlops.rollout.traffic import Split, Variant
from services.asgi.errors import Busy, NoOverride
from services.serving.account import count_piece
from services.serving.endpoints import Chosen
from services.serving.ledger import Ledger, outcome_of, untold
from services.serving.subject import LONGEST, Overrides, subject_of

MODEL = SimpleNamespace(name="model", version="1", precision="fp32", bundle="0" * 64)
CHAMPION = Variant("champion", "1", "0" * 64, 1.0)


@dataclass
class Desk:
    """Keeps rows in a list, and no captures."""

    rows: list[Prediction] = field(default_factory=list)

    def record(self, row: Prediction) -> None:
        self.rows.append(row)

    def wanted(self, identity: str) -> bool:
        return False

    def wanted_of(self, identity: str, share: float) -> bool:
        return False

    def wants_raw(self, endpoint: str) -> bool:
        return False

    def offer(self, capture: Capture, raw: bytes | None = None) -> None:
        raise AssertionError("nothing is wanted")


def request(client: str = "10.0.0.1", **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": pairs, "client": (client, 1)})


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def ledger(desk: Desk) -> Ledger:
    return Ledger(desk, desk, Overrides(["10.0.0.0/8"]))


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (Busy("later"), "refused", 503),
        (DeadlineExceeded(), "refused", 504),
        (asyncio.CancelledError(), "refused", 499),
        (DamagedMedia("cut off"), "rejected", 422),
        (PolicyError("unknown"), "rejected", 422),
        (ClientDisconnect(), "rejected", 499),
        (ModelError("nonsense"), "failed", 500),
        (KeyError("nobody expected this"), "failed", 500),
    ],
)
def test_whatever_is_raised_is_a_row(
    desk: Desk, ledger: Ledger, error: BaseException, outcome: str, status: int
) -> None:
    told: list[str] = []
    with pytest.raises(type(error)), ledger.of(request(), "faces", told.append):
        raise error
    (row,) = desk.rows
    assert (row.outcome, row.status, row.endpoint, row.version) == (outcome, status, "faces", "")
    if isinstance(error, Exception):
        assert told == [outcome] == [outcome_of(error)]


@pytest.mark.parametrize("picked", [None, "champion"])
def test_who_picks_a_variant_is_no_part_of_an_experiment_or_a_release(
    desk: Desk, ledger: Ledger, picked: str | None
) -> None:
    headers = {} if picked is None else {"x_variant": picked}
    with ledger.of(request(**headers), "faces", untold) as account:
        made = Split("model", (CHAMPION,), release="a-release", experiment="an-experiment")
        account.chosen = Chosen(MODEL, CHAMPION, made)
        account.counts = {"faces": 2.0}
    (row,) = desk.rows
    made_of = ("", "", {"faces": 2.0, "picked": 1.0}) if picked else ("a-release", "an-experiment", {"faces": 2.0})
    assert row.variant == "champion"
    assert (row.release, row.experiment, row.counts) == made_of


@pytest.mark.parametrize(
    ("headers", "experiment", "subject"),
    [
        ({"x_subject_id": "ann"}, "", "ann"),
        ({"cookie": "masker_session=s1"}, "", "s1"),
        ({}, "", ""),
        ({}, "an-experiment", "a-request"),
        ({"x_variant": "champion"}, "an-experiment", ""),
    ],
)
def test_who_is_not_named_has_a_subject_in_experiments_alone(
    desk: Desk, ledger: Ledger, headers: dict[str, str], experiment: str, subject: str
) -> None:
    token = request_id.set("a-request")
    try:
        with ledger.of(request(**headers), "faces", untold) as account:
            split = Split("model", (CHAMPION,), release="a-release", experiment=experiment)
            account.chosen = Chosen(MODEL, CHAMPION, split)
            ledger.failed(account, "faces", ModelError("nonsense"))
    finally:
        request_id.reset(token)
    assert [row.subject for row in desk.rows] == [subject] * 2


def test_who_may_not_pick_is_refused_and_told(desk: Desk, ledger: Ledger) -> None:
    for client in ("192.0.2.1", "somebody"):
        with pytest.raises(NoOverride), ledger.of(request(client, x_variant="champion"), "faces", untold):
            raise AssertionError("it goes no further")
    assert [(row.outcome, row.status) for row in desk.rows] == [("rejected", 403)] * 2


@pytest.mark.parametrize(
    ("given", "cookie", "subject"),
    [
        ("me", "masker_session=other", "me"),
        (" ", None, "an-id"),
        (None, None, "an-id"),
        (None, "a=1; masker_session=abc; b=2", "abc"),
        (None, 'masker_session="abc"', "abc"),
        (None, "masker_session=", "an-id"),
        (None, "not_masker_session=abc", "an-id"),
        ("x" * 999, None, "x" * LONGEST),
    ],
)
def test_the_subject_is_whom_a_request_names_or_else_itself(
    given: str | None, cookie: str | None, subject: str
) -> None:
    assert subject_of(given, cookie, "an-id") == subject


@given(st.none() | st.text(), st.none() | st.text())
def test_any_header_gives_some_subject(given: str | None, cookie: str | None) -> None:
    assert 0 < len(subject_of(given, cookie, "an-id")) <= LONGEST


@pytest.mark.parametrize(
    ("client", "may"), [("10.1.2.3", True), ("11.0.0.1", False), ("::1", False), ("testclient", False), (None, False)]
)
def test_networks_say_who_may_pick(client: str | None, may: bool) -> None:
    assert Overrides(["10.0.0.0/8"]).allows(client) is may


@given(st.lists(st.floats(0, 10), min_size=1))
def test_the_row_of_a_stream_has_the_mean_of_its_pieces(seconds: list[float]) -> None:
    account: Any = SimpleNamespace(counts={}, seconds=None)
    for index, each in enumerate(seconds):
        count_piece(account, "frames", each, bad=index % 2 == 1)
    assert account.counts == {"frames": len(seconds), "bad": len(seconds) // 2}
    assert account.seconds == pytest.approx(sum(seconds) / len(seconds), abs=1e-9)
