"""Following the champion, with the real MLflow on a database file."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.testclient import TestClient

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.registry.bundle import current, installed, on_disk, write_manifest
from mlops.registry.mlflow import DIGEST_TAG, Registry
from mlops.registry.refusal import refusal
from mlops.rollout import state
from mlops.rollout.state import Release, Step
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings, load_settings
from services.worker.app import worker_app
from services.worker.pull import Puller, following
from tests.patience import until, until_true

NAME, VOICE = "face-detector", "voice-masker"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
            "MASKER_REGISTRY__POLL_SECONDS": "0.05",
            "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        }
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[ReleaseStore]:
    database = Database(settings.database, TABLES)
    yield ReleaseStore(database)
    database.close()


def until_counted(worker: TestClient, outcome: str) -> None:
    """Wait until the worker has counted an outcome."""
    counted = re.compile(rf'masker_bundle_pulls_total{{outcome="{outcome}"}} [1-9]')
    until(lambda: counted.search(worker.get("/metrics").text), 0.05)


def test_the_champion_is_brought_and_a_forged_one_is_refused(
    settings: Settings, logged_run: str, logged_digest: str
) -> None:
    root = settings.registry.bundles_path
    registry = Registry(settings.registry.tracking_uri)
    left_by_a_killed_worker = root / NAME / ".incoming-x"
    left_by_a_killed_worker.mkdir(parents=True)
    with TestClient(worker_app(settings, Metrics()), "http://127.0.0.1:8000") as worker:
        assert not left_by_a_killed_worker.exists()
        until_counted(worker, "unchanged")
        version = registry.register(NAME, logged_run, "bundle", logged_digest, {})
        registry.promote(NAME, version.version)
        until_counted(worker, "pulled")
        bundle = current(root, NAME)
        assert bundle is not None
        assert (bundle.version, bundle.digest) == ("1", logged_digest)

        forged = registry.register(NAME, logged_run, "bundle", "f" * 64, {})
        registry.promote(NAME, forged.version)
        until_counted(worker, "refused")
        serving = current(root, NAME)
        assert serving is not None
        assert serving.version == "1"
        until(lambda: "masker_registry_up 1.0" in worker.get("/metrics").text)


def test_both_models_are_brought_and_one_that_is_refused_keeps_the_other_from_nothing(
    settings: Settings, store: ReleaseStore, logged_run: str, logged_digest: str, tmp_path: Path
) -> None:
    registry, root = Registry(settings.registry.tracking_uri), settings.registry.bundles_path
    voice = tmp_path / "voice"
    voice.mkdir()
    for file in ("voice.onnx", "vad.onnx", "golden.npz"):
        (voice / file).write_bytes(file.encode())
    digest = write_manifest(voice, VOICE, "codebook", {"fp32": "voice.onnx"}, "golden.npz", vad="vad.onnx")
    mlflow.set_experiment("made")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(voice), "bundle")
    registry.promote(NAME, registry.register(NAME, logged_run, "bundle", "f" * 64, {}).version)
    registry.promote(VOICE, registry.register(VOICE, run.info.run_id, "bundle", digest, {}).version)
    puller = Puller(settings.registry, CollectorRegistry(), store)
    assert puller.pull() == "refused"
    assert current(root, NAME) is None
    bundle = current(root, VOICE)
    assert bundle is not None
    assert (bundle.architecture, bundle.vad) == ("codebook", root / VOICE / "1" / "vad.onnx")

    registry.promote(NAME, registry.register(NAME, logged_run, "bundle", logged_digest, {}).version)
    assert puller.pull() == "pulled"
    assert puller.pull() == "unchanged"


def test_a_registry_that_does_not_answer_is_counted_and_survived(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{closed_port}"
    away = settings.model_copy(update={"registry": settings.registry.model_copy(update={"tracking_uri": uri})})
    with TestClient(worker_app(away, Metrics()), "http://127.0.0.1:8000") as worker:
        until_counted(worker, "failed")
        assert "masker_registry_up 0.0" in worker.get("/metrics").text


def test_artifacts_that_nothing_here_can_read_keep_no_other_model_from_being_brought(
    settings: Settings, store: ReleaseStore, logged_run: str, logged_digest: str
) -> None:
    registry, client = Registry(settings.registry.tracking_uri), mlflow.MlflowClient(settings.registry.tracking_uri)
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", "ftp://nobody.invalid/bundle", tags={DIGEST_TAG: "0" * 64})
    client.set_registered_model_alias("elsewhere", "champion", "1")
    client.create_registered_model(VOICE)
    client.create_model_version(VOICE, "s3://bucket/bundle", tags={DIGEST_TAG: "0" * 64})
    client.set_registered_model_alias(VOICE, "champion", "1")
    registry.promote(NAME, registry.register(NAME, logged_run, "bundle", logged_digest, {}).version)
    puller = Puller(settings.registry, CollectorRegistry(), store)
    assert puller.pull() == "failed"
    assert current(settings.registry.bundles_path, NAME) is not None


def test_whatever_a_look_raises_the_next_one_comes() -> None:
    looks: list[int] = []

    def look() -> str:
        looks.append(len(looks))
        raise RuntimeError("nobody has thought of this")

    async def run() -> None:
        async with following(look, 0.01):
            await until_true(lambda: len(looks) > 2)

    asyncio.run(run())


def bundle_of(name: str, content: bytes, folder: Path, uri: str) -> tuple[str, str]:
    """Log a bundle of a model; gives the run and the digest."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    (folder / "golden.npz").write_bytes(b"golden")
    (folder / "signature.json").write_text("{}")
    digest = write_manifest(folder, name, "onnx", {"fp32": "model.onnx"}, "golden.npz", signature="signature.json")
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("made")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "bundle")
    return run.info.run_id, digest


@pytest.fixture
def demo(settings: Settings, logged_run: str, tmp_path: Path) -> tuple[Registry, Release]:
    """A generic model with two versions, the first champion, and a release of the second that nobody has begun."""
    uri = settings.registry.tracking_uri
    registry = Registry(uri)
    digests = []
    for number in ("1", "2"):
        run, digest = bundle_of("demo", number.encode(), tmp_path / f"demo-{number}", uri)
        registry.register("demo", run, "bundle", digest, {})
        digests.append(digest)
    registry.promote("demo", "1")
    release = Release(
        "a" * 32, "demo", "demo", "canary", "2", digests[1], "1", digests[0], (Step(0.5, 1.0, 1),), "low", "ada",
        "a test", 0.0, 0.0,
    )  # fmt: skip
    return registry, release


def moved(store: ReleaseStore, release: Release, after: Release) -> Release:
    return store.move(release, after, "ada", after.phase)


def test_any_model_with_a_champion_is_brought(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release]
) -> None:
    puller = Puller(settings.registry, CollectorRegistry(), store)
    assert puller.pull() == "pulled"
    bundle = current(settings.registry.bundles_path, "demo")
    assert bundle is not None
    assert (bundle.version, bundle.architecture) == ("1", "onnx")


def test_what_a_release_wants_is_brought_and_its_aliases_reach_the_registry_before_it_is_believed(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release]
) -> None:
    (registry, release), root = demo, settings.registry.bundles_path
    puller = Puller(settings.registry, CollectorRegistry(), store)
    puller.pull()
    release, _ = store.create(release)
    release = moved(store, release, state.prepare(release, 1.0))
    assert puller.pull() == "pulled"
    assert on_disk(root, "demo", "2", release.candidate_digest) is not None
    assert (installed(root, "demo") or ("",))[0] == "1"
    assert refusal(root, "demo", "2") is None
    release = moved(store, release, state.start(release, 2.0))
    puller.pull()
    assert registry.resolve("demo", "challenger").version == "2"
    registry.promote("demo", "2")
    puller.pull()
    assert (installed(root, "demo") or ("",))[0] == "1", "while a release splits the traffic, no alias moves it"
    registry.promote("demo", "1")
    release = moved(store, release, state.advance(release, 3.0))
    release = moved(store, release, state.succeed(release, 4.0))
    puller.pull()
    champion = registry.champion("demo")
    assert champion is not None
    assert (champion.version, champion.aliases) == ("2", ("champion",))
    assert registry.resolve("demo", "previous").version == "1"
    assert (installed(root, "demo") or ("",))[0] == "2"
    assert list(store.aliases_pending()) == []


def test_a_version_that_came_while_another_was_released_stays_challenger(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release]
) -> None:
    registry, release = demo
    puller = Puller(settings.registry, CollectorRegistry(), store)
    puller.pull()
    release, _ = store.create(release)
    release = moved(store, release, state.prepare(release, 1.0))
    release = moved(store, release, state.start(release, 2.0))
    puller.pull()
    tried = registry.resolve("demo", "2")
    came = registry.register("demo", tried.run_id, "bundle", tried.digest, {})
    registry.admit("demo", came.version)
    release = moved(store, release, state.abort(release, 3.0, "no"))
    puller.pull()
    assert registry.resolve("demo", "challenger").version == came.version
    assert list(store.aliases_pending()) == []


@pytest.mark.parametrize("end", [lambda each: state.abort(each, 3.0, "no"), lambda each: state.advance(each, 3.0)])
@pytest.mark.parametrize("asked", [False, True])
def test_a_release_of_an_older_version_leaves_challenger_with_the_one_that_waits(
    settings: Settings,
    store: ReleaseStore,
    demo: tuple[Registry, Release],
    end: Callable[[Release], Release],
    asked: bool,
) -> None:
    registry, release = demo
    puller = Puller(settings.registry, CollectorRegistry(), store)
    puller.pull()
    older = registry.resolve("demo", "2")
    waits = registry.register("demo", older.run_id, "bundle", older.digest, {})
    registry.admit("demo", waits.version)
    if asked:
        store.create(replace(release, identity="b" * 32, candidate=waits.version), needed=1, approval_seconds=1e9)
    release, _ = store.create(release)
    release = moved(store, release, state.prepare(release, 1.0))
    release = moved(store, release, state.start(release, 2.0))
    puller.pull()
    assert registry.resolve("demo", "challenger").version == waits.version
    moved(store, release, end(release))
    puller.pull()
    assert registry.resolve("demo", "challenger").version == waits.version
    assert list(store.aliases_pending()) == []


def test_the_next_release_takes_challenger_from_a_version_that_was_tried(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release]
) -> None:
    registry, release = demo
    puller = Puller(settings.registry, CollectorRegistry(), store)
    puller.pull()
    release, _ = store.create(release)
    for move in (state.prepare, state.start):
        release = moved(store, release, move(release, 1.0))
    moved(store, release, state.fail(release, 2.0, "no"))
    puller.pull()
    # Somebody gave it back by hand.
    registry.set_alias("demo", "challenger", "2")
    tried = registry.resolve("demo", "2")
    other = registry.register("demo", tried.run_id, "bundle", tried.digest, {}).version
    again, _ = store.create(replace(release, identity="c" * 32, candidate=other, phase="queued"))
    for move in (state.prepare, state.start):
        again = moved(store, again, move(again, 3.0))
    puller.pull()
    assert registry.resolve("demo", "challenger").version == other


@pytest.mark.parametrize(("version", "why"), [("2", "not the file that was registered"), ("7", "no version 7")])
def test_whoever_waits_for_a_version_that_cannot_be_had_is_told_why(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release], tmp_path: Path, version: str, why: str
) -> None:
    (registry, _), root = demo, settings.registry.bundles_path
    run = registry.resolve("demo", "2").run_id
    (stored,) = (tmp_path / "artifacts" / run).rglob("model.onnx")
    stored.write_bytes(b"forged")
    store.claim("demo", "demo", "a" * 32, [version])
    puller = Puller(settings.registry, CollectorRegistry(), store)
    assert puller.pull() == "refused"
    assert why in (refusal(root, "demo", version) or "")
    if version == "2":
        stored.write_bytes(b"2")
        assert puller.pull() == "pulled"
        assert refusal(root, "demo", version) is None


def test_while_nobody_can_say_what_a_release_has_changed_the_champion_stays(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release], tmp_path: Path
) -> None:
    (registry, _), root = demo, settings.registry.bundles_path
    Puller(settings.registry, CollectorRegistry(), store).pull()
    (tmp_path / "no-database").mkdir()
    away = settings.database.model_copy(update={"url": SecretStr(f"sqlite:///{tmp_path}/no-database")})
    puller = Puller(settings.registry, CollectorRegistry(), ReleaseStore(Database(away, TABLES)))
    registry.promote("demo", "2")
    assert puller.pull() == "unchanged"
    assert (installed(root, "demo") or ("",))[0] == "1"
    (root / "demo" / "champion.json").unlink()
    assert puller.pull() == "pulled", "a machine that has nothing yet is served all the same"
    assert (installed(root, "demo") or ("",))[0] == "2"


def test_a_champion_that_the_registry_has_lost_goes_on_serving(
    settings: Settings, store: ReleaseStore, demo: tuple[Registry, Release]
) -> None:
    (registry, release), root = demo, settings.registry.bundles_path
    puller = Puller(settings.registry, CollectorRegistry(), store)
    puller.pull()
    release, _ = store.create(replace(release, candidate="7"))
    for step in (state.prepare, state.start, state.advance, state.succeed):
        release = moved(store, release, step(release, 1.0))
    assert puller.pull() == "refused"
    assert [operation.alias for operation in store.aliases_pending()] == ["champion"]
    registry.promote("demo", "2")
    puller.pull()
    assert (installed(root, "demo") or ("",))[0] == "1"
