import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.metrics import Metrics
from mlops.predictions.spool import living
from mlops.rollout.traffic import Split, Variant
from services.asgi.errors import NotReady, UnknownVariant
from services.serving.endpoints import Endpoint
from services.serving.watcher import Source, watch
from tests.patience import PATIENCE_SECONDS, until_true
from tests.services.places import settings_of

DIGEST = "0" * 64
pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Version:
    version: str
    name: str = "model"
    precision: str = "fp32"
    bundle: str = DIGEST


def split(champion: str, **candidates: float) -> Split:
    """A split of versions; names of candidates begin with ``v``: ``split("1", v2=0.5)``."""
    variants = [Variant(name, name[1:], DIGEST, weight) for name, weight in candidates.items()]
    rest = 1 - sum(candidates.values())
    return Split("model", (Variant("champion", champion, DIGEST, rest), *variants), "salt")


@dataclass
class Shelf:
    """Versions that a test puts in force; loading one waits while the gate is closed, and fails for broken ones."""

    split: Split | None = None
    broken: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def source(self) -> Source[Version]:
        return Source(lambda: None if self.split is None else repr(self.split), lambda: self.split, self.load)

    def load(self, variant: Variant) -> Version:
        self.loads.append(variant.version)
        if variant.version in self.slow:
            assert self.gate.wait(PATIENCE_SECONDS)
        if variant.version in self.broken:
            raise RuntimeError(variant.version)
        return Version(variant.version)

    def refuse(self, _: Split, variant: Variant) -> None:
        self.refused.append(variant.version)


@pytest.fixture
def endpoint() -> Endpoint[Version]:
    return Endpoint("models", Metrics())


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    yield made
    made.gate.set()


@contextmanager
def followed(shelf: Shelf, endpoint: Endpoint[Version]) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(
        watch(shelf.source(), endpoint, Metrics(), 0.005, 0.02, None, shelf.refuse)
    )
    try:
        yield
    finally:
        shelf.gate.set()
        task.cancel()


def serves(endpoint: Endpoint[Version], version: str) -> Callable[[], bool]:
    return lambda: (model := endpoint.serving()) is not None and model.version == version


def test_before_there_is_a_champion_nothing_is_chosen(endpoint: Endpoint[Version]) -> None:
    for ask in (lambda: endpoint.choose("x"), endpoint.champion, endpoint.current):
        with pytest.raises(NotReady, match="no model is loaded yet"):
            ask()
    assert endpoint.serving() is endpoint.shadow() is None
    assert not endpoint.readiness().ready


@given(st.text(max_size=20), st.floats(0, 1))
def test_a_candidate_that_is_not_there_leaves_all_to_the_champion(subject: str, weight: float) -> None:
    endpoint: Endpoint[Version] = Endpoint("models", Metrics())
    endpoint.swap(split("1", v2=weight), {"champion": Version("1")})
    assert endpoint.choose(subject).is_champion
    with pytest.raises(UnknownVariant, match="champion"):
        endpoint.choose(subject, "v2")


def test_a_shadow_never_answers(endpoint: Endpoint[Version]) -> None:
    shadow = Variant("shadow", "2", DIGEST, 0, shadow=True)
    made = Split("model", (Variant("champion", "1", DIGEST, 1), shadow))
    endpoint.swap(made, {"champion": Version("1"), "shadow": Version("2")})
    assert {endpoint.choose(str(number)).model.version for number in range(100)} == {"1"}
    with pytest.raises(UnknownVariant):
        endpoint.choose("x", "shadow")
    chosen = endpoint.shadow()
    assert chosen is not None
    assert chosen.model.version == "2"


def test_what_was_chosen_is_known_to_answer_no_more(endpoint: Endpoint[Version]) -> None:
    one, two = Version("1"), Version("2")
    endpoint.swap(split("1", v2=0.5), {"champion": one, "v2": two})
    champion, candidate = endpoint.choose("x", "champion"), endpoint.choose("x", "v2")
    endpoint.swap(split("1", v2=0.1), {"champion": one, "v2": two})
    assert endpoint.answers(champion)
    assert endpoint.answers(candidate), "another weight is no other variant"
    endpoint.swap(split("1"), {"champion": one})
    assert endpoint.answers(champion)
    assert not endpoint.answers(candidate)
    endpoint.swap(split("2"), {"champion": two})
    assert not endpoint.answers(champion)


def test_a_replica_of_a_rolling_release_gives_everybody_the_same() -> None:
    rolling = Split("model", split("1", v2=0.0).variants, "salt", rolling=0.5)
    replicas = {
        name: {endpoint.choose(str(number)).model.version for number in range(20)}
        for name in map(str, range(40))
        if (endpoint := rolled(rolling, name))
    }
    assert {len(versions) for versions in replicas.values()} == {1}
    assert set.union(*replicas.values()) == {"1", "2"}


def test_what_is_told_of_a_rolling_release_is_what_the_replica_does() -> None:
    metrics = Metrics()
    rolling = Split("model", split("1", v2=0.25).variants, "salt", rolling=0.5)
    for name in map(str, range(10)):
        endpoint = rolled(rolling, name, metrics)
        chosen = endpoint.choose("anybody").variant.name
        for variant in rolling.variants:
            told = metrics.registry.get_sample_value(
                "masker_variant_weight", {"endpoint": "models", "variant": variant.name, "version": variant.version}
            )
            assert told == endpoint.share(rolling, variant) == (variant.name == chosen)


def rolled(rolling: Split, replica: str, metrics: Metrics | None = None) -> Endpoint[Version]:
    endpoint: Endpoint[Version] = Endpoint("models", metrics or Metrics(), replica)
    endpoint.swap(rolling, {"champion": Version("1"), "v2": Version("2")})
    return endpoint


async def test_a_rollback_waits_for_no_load(endpoint: Endpoint[Version], shelf: Shelf) -> None:
    shelf.split = split("1", v2=0.5)
    shelf.slow = {"3"}
    with followed(shelf, endpoint):
        await until_true(lambda: "v2_version" in endpoint.readiness().facts)
        shelf.split = split("1", v2=0.2, v3=0.5)
        await until_true(lambda: "3" in shelf.loads)
        shelf.split = split("1")
        await until_true(lambda: "v2_version" not in endpoint.readiness().facts)
        assert not shelf.gate.is_set(), "3 is being loaded all the while"
        assert endpoint.current().version == "1"


async def test_a_candidate_that_is_there_serves_while_another_loads(endpoint: Endpoint[Version], shelf: Shelf) -> None:
    shelf.split, shelf.slow = split("1", v2=0.0, v3=0.0), {"2"}
    with followed(shelf, endpoint):
        await until_true(serves(endpoint, "1"))
        assert shelf.loads[0] == "1", "the champion goes before all"
        shelf.gate.set()
        await until_true(lambda: {"v2_version", "v3_version"} <= endpoint.readiness().facts.keys())


async def test_the_version_before_comes_back_without_being_loaded(endpoint: Endpoint[Version], shelf: Shelf) -> None:
    shelf.split = split("1")
    with followed(shelf, endpoint):
        for version in ("1", "2", "1", "2"):
            shelf.split = split(version)
            await until_true(serves(endpoint, version))
        assert shelf.loads == ["1", "2"]
        for version in ("3", "1"):
            shelf.split = split(version)
            await until_true(serves(endpoint, version))
        assert shelf.loads == ["1", "2", "3", "1"], "only one is kept beside those that serve"


async def test_each_try_of_a_broken_candidate_is_told(endpoint: Endpoint[Version], shelf: Shelf) -> None:
    shelf.split, shelf.broken = split("1", v2=1.0), {"2"}
    with followed(shelf, endpoint):
        await until_true(lambda: len(shelf.refused) >= 2)
        assert set(shelf.refused) == {"2"}
        assert endpoint.choose("x").model.version == "1"
        shelf.broken = set()
        await until_true(lambda: endpoint.choose("x").model.version == "2")


async def test_a_champion_that_is_broken_leaves_all_as_it_was(endpoint: Endpoint[Version], shelf: Shelf) -> None:
    shelf.split = split("1", v2=0.5)
    with followed(shelf, endpoint):
        await until_true(lambda: "v2_version" in endpoint.readiness().facts)
        shelf.broken = {"3"}
        shelf.split = split("3")
        await until_true(lambda: "3" in shelf.refused)
        assert endpoint.current().version == "1"
        assert endpoint.readiness().facts["v2_version"] == "2"


async def test_whatever_goes_wrong_with_one_look_the_next_comes(endpoint: Endpoint[Version], shelf: Shelf) -> None:
    def refuse(_: Split, variant: Variant) -> None:
        raise RuntimeError(f"nobody has thought of {variant.version}")

    shelf.broken, shelf.split, looked = {"1"}, split("1"), asyncio.Event()
    work = watch(shelf.source(), endpoint, Metrics(), 0.005, 0.02, looked, refuse)
    task = asyncio.get_running_loop().create_task(work)
    await until_true(lambda: len(shelf.loads) > 1 and looked.is_set())
    shelf.split = split("2")
    await until_true(serves(endpoint, "2"))
    task.cancel()


def test_a_replica_is_known_by_its_name_as_long_as_it_lives(
    make_client: Callable[..., Any], rows_of: dict[str, object]
) -> None:
    spool = settings_of(**rows_of).predictions.spool_path
    with make_client(serving__replica="left"):
        assert living(spool) == {"left"}
    with make_client():
        assert living(spool) == {socket.gethostname()}
    assert living(spool) == frozenset()
