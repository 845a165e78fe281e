"""The release loop beside what else changes: bundles, other releases, the champion, experiments."""

from mlops.registry.bundle import point
from mlops.rollout.traffic import read_split
from tests.services.worker.release_world import ENDPOINT, MODEL, SETTINGS, World


def test_a_release_waits_for_its_bundle_and_fails_without_it(world: World) -> None:
    digest = "c" * 64
    asked = world.ask(candidate=("4", digest))
    world.tick()
    waiting = world.release(asked.identity)
    assert (waiting.phase, waiting.note) == ("preparing", "waits for the bundle of version 4")
    assert (MODEL, "4") in world.store.wanted()
    world.tick(SETTINGS.prepare_seconds + 1)
    ended = world.release(asked.identity)
    assert (ended.phase, world.weight()) == ("failed", 0.0)
    assert "not brought" in ended.note
    assert world.store.holder(ENDPOINT) is None


def test_a_bundle_that_cannot_be_brought_fails_at_once_with_the_reason(world: World) -> None:
    asked = world.ask(candidate=("4", "c" * 64))
    (world.root / MODEL / "4.refused").write_text("it is not what was registered\n")
    world.tick()
    assert world.release(asked.identity).note == "version 4 cannot be brought: it is not what was registered"


def test_a_damaged_bundle_never_starts(world: World) -> None:
    (world.root / MODEL / "2" / "graph.onnx").write_text("something else")
    asked = world.ask()
    world.tick()
    assert world.release(asked.identity).phase == "preparing"


def test_a_candidate_that_rots_is_never_pointed_at(world: World) -> None:
    asked = world.ask()
    world.tick()
    (world.root / MODEL / "2" / "graph.onnx").write_text("something else")
    world.act(asked, "promote_full")
    world.tick()
    assert (world.release(asked.identity).phase, world.champion()) == ("promoting", "1")
    assert world.count("masker_release_failures_total") == 1
    world.act(asked, "abort", "it rots")
    world.tick()
    assert (world.release(asked.identity).phase, world.champion()) == ("rolled_back", "1")


def test_one_after_the_other(world: World) -> None:
    first = world.ask()
    world.now += 1
    second = world.ask(candidate=("3", world.digests["3"]))
    world.tick()
    assert [world.release(each.identity).phase for each in (first, second)] == ["running", "queued"]
    assert "another release or experiment" in world.release(second.identity).note
    world.act(first, "abort", "enough")
    world.tick()
    assert [world.release(each.identity).phase for each in (first, second)] == ["rolled_back", "running"]


def test_a_release_against_a_champion_of_before_fails(world: World) -> None:
    first = world.ask()
    world.now += 1
    second = world.ask(candidate=("3", world.digests["3"]))
    world.tick()
    world.act(first, "promote_full")
    world.tick()
    world.tick()
    ended = world.release(second.identity)
    assert ended.phase == "failed"
    assert "version 2 is champion" in ended.note
    assert world.champion() == "2"


def test_a_champion_that_somebody_else_changes_ends_the_release_and_stays(world: World) -> None:
    asked = world.ask()
    world.tick()
    point(world.root, MODEL, "3", world.digests["3"])
    world.tick()
    assert world.release(asked.identity).phase == "failed"
    assert (world.champion(), world.weight(), read_split(world.root, MODEL)) == ("3", 0.0, None)


def test_an_experiment_is_left_alone_and_cleaned_up_after(world: World) -> None:
    asked = world.ask(policy={"threshold": 0.3})
    world.tick()
    world.act(asked, "promote_full")
    world.tick()
    assert world.store.claim(ENDPOINT, MODEL, "experiment", ["2"])
    traffic = world.root / MODEL / "traffic.json"
    before = traffic.read_text()
    traffic.write_text("what an experiment writes")
    world.tick()
    assert traffic.read_text() == "what an experiment writes"
    world.store.free(ENDPOINT, "experiment")
    world.tick()
    assert traffic.read_text() == before
    assert world.store.holder(ENDPOINT) is None


def test_a_release_of_old_by_the_model_s_name_undoes_nothing(world: World) -> None:
    asked = world.ask(policy={"threshold": 0.1})
    world.tick()
    world.act(asked, "promote_full")
    world.tick()
    of_old = {"endpoint": MODEL, "candidate": ("3", world.digests["3"]), "baseline": ("2", world.digests["2"])}
    world.act(world.ask(**of_old), "abort", "no")
    traffic = world.root / MODEL / "traffic.json"
    for _ in range(3):
        world.tick()
        split = read_split(world.root, MODEL)
        assert split is not None
        assert split.champion.policy == {"threshold": 0.1}
    written = traffic.stat().st_mtime_ns
    world.tick()
    assert traffic.stat().st_mtime_ns == written, "it was taken away and written again"


def test_a_split_that_was_damaged_is_written_again(world: World) -> None:
    world.ask()
    world.tick()
    (world.root / MODEL / "traffic.json").write_text("{")
    world.tick()
    assert world.weight() == 0.1
