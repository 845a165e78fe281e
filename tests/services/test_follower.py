"""When the embedded default starts the child that opens the registry."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops.database import Database
from mlops.registry.bundle import point, write_manifest
from mlops.registry.refusal import refuse
from mlops.rollout import state
from mlops.rollout.state import Release, Step
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import DatabaseSettings, load_settings
from services.standalone import Patience, damaged, follower_part, needs
from tests.patience import until_true


class Clock:
    """A clock that a test moves on."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_same_failing_work_is_tried_after_pauses_that_double_to_a_minute() -> None:
    clock = Clock()
    patience = Patience(2.0, clock)
    pauses = []
    for _ in range(8):
        began = clock.seconds
        while not patience.allows("work"):
            clock.seconds += 1
        pauses.append(clock.seconds - began)
        patience.note("work", well=False)
    assert pauses == [0, 2, 4, 8, 16, 32, 60, 60]


def test_other_work_is_tried_at_once_and_work_that_went_well_may_come_again() -> None:
    patience = Patience(2.0, Clock())
    patience.note("work", well=False)
    assert not patience.allows("work")
    assert patience.allows("other work")
    patience.note("other work", well=True)
    assert patience.allows("other work")
    assert patience.allows("work")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReleaseStore]:
    url = SecretStr(f"sqlite:///{tmp_path}/platform.db")
    database = Database(DatabaseSettings(url=url, password_file=None), TABLES)
    yield ReleaseStore(database)
    database.close()


def test_what_a_release_wants_of_the_registry_is_needed_until_it_is_there(store: ReleaseStore, tmp_path: Path) -> None:
    assert needs(store, tmp_path) == ()
    planned = Release(
        "a" * 32, "demo", "demo", "canary", "2", "2" * 64, "1", "1" * 64, (Step(0.5, 1.0, 1),), "low", "ada",
        "a test", 0.0, 0.0,
    )  # fmt: skip
    release, _ = store.create(planned)
    assert needs(store, tmp_path) == ()
    release = store.move(release, state.prepare(release, 1.0), "loop", "prepare")
    assert needs(store, tmp_path) == ("demo/1", "demo/2")
    _made(tmp_path / "demo" / "1")
    assert needs(store, tmp_path) == ("demo/2",)
    (tmp_path / "demo" / "1" / "fp32.onnx").write_bytes(b"damaged")
    assert needs(store, tmp_path) == ("demo/1", "demo/2"), "what a disk has damaged is wanted again"
    _made(tmp_path / "demo" / "1")
    refuse(tmp_path, "demo", "2", "it is forged")
    assert needs(store, tmp_path) == ()
    store.move(release, state.start(release, 2.0), "loop", "start")
    (token,) = needs(store, tmp_path)
    assert [token] == [operation.token for operation in store.aliases_pending()]


def _made(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("fp32.onnx", "golden.npz"):
        (folder / file).write_bytes(b"as registered")
    return write_manifest(folder, "demo", "some-net", {"fp32": "fp32.onnx"}, "golden.npz")


def test_a_champion_that_cannot_be_opened_is_damaged_and_none_is_not(tmp_path: Path) -> None:
    assert not damaged(tmp_path)
    point(tmp_path, "demo", "1", _made(tmp_path / "demo" / "1"))
    assert not damaged(tmp_path)
    (tmp_path / "demo" / "1" / "golden.npz").write_bytes(b"damaged")
    assert damaged(tmp_path)


def test_a_database_that_is_away_needs_nothing(tmp_path: Path) -> None:
    database = Database(DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}"), password_file=None), TABLES)
    assert needs(ReleaseStore(database), tmp_path) == ()
    database.close()


def test_a_look_that_fails_is_not_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(
        environ={
            "MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
            "MASKER_REGISTRY__POLL_SECONDS": "0.01",
            "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        }
    )
    model = settings.registry.bundles_path / settings.registry.model
    # Nobody can forget what was seen, since a folder lies where that is kept.
    (model / "registry-seen").mkdir(parents=True)
    (model / "champion.json").write_text("damaged", encoding="utf-8")

    async def run() -> None:
        async with follower_part(settings).lifespan():
            await until_true(lambda: len(caplog.records) > 2)

    asyncio.run(run())
    assert {record.message for record in caplog.records} == {"the registry was not looked at"}
