"""The loop of experiments over real databases, real bundles and the real file that serving reads."""

import shutil
from dataclasses import replace
from itertools import count

import pytest

from mlops.experiments import state
from mlops.experiments.observations import Outcome
from mlops.experiments.plan import Metric
from mlops.metrics import Metrics
from mlops.predictions.row import Prediction, new_identity
from mlops.registry.bundle import point
from mlops.rollout.traffic import effective, read_split
from services.worker.experiments import experiments_round
from tests.services.worker.experiment_world import ERRORS, MODEL, NOW, Place, row


def test_a_better_arm_gets_its_share_is_found_and_gives_the_split_back(here: Place) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    split = effective(here.root, MODEL)
    assert split is not None
    assert (split.experiment, split.salt) == (experiment.identity, experiment.identity)
    assert [(each.name, each.version, each.weight) for each in split.variants] == [
        ("champion", "1", 0.5), ("challenger", "2", 0.5),
    ]  # fmt: skip
    assert here.now(experiment).look["answer"] == "wait"
    here.serve(1500, {"champion": 0.2, "challenger": 0.05})
    loop.tick(NOW + 30)
    assert here.now(experiment).look["subjects"] == 0, "it was looked at before its pause was over"
    assert here.shown("s_open", endpoint="faces", state="running") == 1
    loop.tick(NOW + 61)
    ended = here.now(experiment)
    subjects = ended.look["health"]["exposed"]
    assert {arm: here.shown("_subjects", endpoint="faces", arm=arm) for arm in subjects} == subjects
    assert (here.shown("_sample_ratio_p", endpoint="faces") or 0) > 0.001
    assert (ended.state, ended.holds) == ("stopped", False)
    assert ended.why_stopped.startswith("Ship challenger: errors of challenger is better")
    assert ended.look["subjects"] == 1500
    assert effective(here.root, MODEL).variants[0].weight == 1.0  # type: ignore[union-attr]
    assert read_split(here.root, MODEL) is None
    assert here.releases.holder("faces") is None
    assert here.causes() == {"answer": 1}
    loop.tick(NOW + 62)
    assert here.shown("s_open", endpoint="faces", state="running") == 0
    assert here.shown("_subjects", endpoint="faces", arm="challenger") is None
    assert here.shown("_sample_ratio_p", endpoint="faces") is None


def test_a_look_that_took_long_is_followed_by_a_pause_of_many_times_as_long(here: Place) -> None:
    ticks = count()
    # As if each look took ten seconds.
    experiment, loop = here.started(), here.loop(lambda: 10.0 * next(ticks))
    loop.tick(NOW)
    here.serve(120, {"champion": 0.2, "challenger": 0.2})
    for seconds, subjects in ((61, 0), (199, 0), (200, 120)):
        loop.tick(NOW + seconds)
        assert here.now(experiment).look["subjects"] == subjects


def test_a_broken_guardrail_stops_it(here: Place) -> None:
    experiment, loop = here.started(replace(ERRORS, role="guardrail", minimum_effect=0.2)), here.loop()
    loop.tick(NOW)
    here.serve(1500, {"champion": 0.1, "challenger": 0.5})
    loop.tick(NOW + 61)
    ended = here.now(experiment)
    assert ended.why_stopped.startswith("a guardrail is broken: errors of challenger")
    assert here.causes() == {"guardrail": 1}
    assert read_split(here.root, MODEL) is None


def test_a_wrong_sample_ratio_stops_it(here: Place) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    rows = [row(experiment.identity, f"{n}", "challenger" if n % 3 else "champion", "ok", n) for n in range(3000)]
    here.write(rows)
    loop.tick(NOW + 61)
    assert here.now(experiment).why_stopped.startswith("the sample ratio is wrong")
    assert here.causes() == {"ratio": 1}
    assert here.now(experiment).look["health"]["sample_ratio_mismatch"] is True


def test_shadows_and_foreign_rows_expose_nobody(here: Place) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    identity = experiment.identity
    rows = [
        row(identity, "a", "challenger", "ok", 1, shadow=True),
        row("", "b", "champion", "ok", 2),
        row("f" * 32, "c", "champion", "ok", 3),
        row(identity, "", "champion", "ok", 4),
        row(identity, "d", "champion", "ok", 5),
    ]
    here.write(rows)
    loop.tick(NOW + 61)
    assert here.now(experiment).look["subjects"] == 1


@pytest.mark.parametrize("name", ["faces", "megapixels"])
def test_counts_are_read_whichever_they_are(here: Place, name: str) -> None:
    counted = Metric("much", "ratio", f"counts.{name}", better="higher", baseline=1.0, deviation=1.0)
    experiment, loop = here.started(counted), here.loop()
    loop.tick(NOW)
    rows = [
        Prediction(
            new_identity(), NOW + n, "faces", MODEL, "1", arm, "", experiment.identity, f"{n}", "ok", 200, 0.05, {},
            {name: float(n % 5 + 5 * (arm == "challenger"))},
        )
        for n, arm in enumerate(("champion", "challenger") * 500)
    ]  # fmt: skip
    here.write(rows)
    loop.tick(NOW + 2000)
    finding = here.now(experiment).look["findings"][0]
    assert (finding["state"], finding["values"]) == ("better", [2.0, 7.0])


def test_a_person_stops_it_and_the_split_goes(here: Place) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    here.experiments.act(experiment.identity, "bob", "stop", lambda each, _: state.stop(each, NOW + 1, "enough"))
    assert read_split(here.root, MODEL) is not None
    here.serve(120, {"champion": 0.2, "challenger": 0.2})
    loop.tick(NOW + 1)
    assert read_split(here.root, MODEL) is None
    assert not here.now(experiment).holds
    assert here.now(experiment).look["subjects"] == 120, "what came before the stop was not looked at"
    assert here.causes() == {"person": 1}


def test_outcomes_count_and_are_forgotten_some_time_after_the_end(here: Place) -> None:
    kept = Metric("kept", "binary", "outcome.kept", better="higher", baseline=0.5, minimum_effect=0.2)
    experiment, loop = here.started(kept, window_seconds=30.0), here.loop()
    loop.tick(NOW)
    here.serve(1000, {"champion": 0.0, "challenger": 0.0})
    arms = {each.subject: each.variant for each in here.reader().rows(experiment.identity, ())}
    said = [Outcome(NOW + 10, subject, "kept", 1.0) for subject, arm in arms.items() if arm == "challenger"]
    here.experiments.add_outcomes(experiment.identity, said)
    loop.tick(NOW + 61)
    assert here.now(experiment).look["answer"] == "ship"
    here.clock.now += 999
    here.loop().tick(NOW + 62)
    assert len(here.experiments.outcomes(experiment.identity)) == len(said)
    here.clock.now += 2
    here.loop().tick(NOW + 63)
    assert here.experiments.outcomes(experiment.identity) == []


def test_it_waits_in_line_behind_another_and_then_begins(here: Place) -> None:
    assert here.releases.claim("faces", MODEL, "a-release", ("1", "2"))
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    assert read_split(here.root, MODEL) is None
    assert "is split by a release" in here.now(experiment).note
    here.releases.free("faces", "a-release")
    loop.tick(NOW + 1)
    assert here.now(experiment).began == NOW + 1
    assert here.now(experiment).note == ""


def test_it_waits_until_its_versions_are_brought_but_not_for_ever(here: Place) -> None:
    shutil.rmtree(here.root / MODEL / "2")
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    assert here.now(experiment).note == "version 2 is being brought"
    assert (MODEL, "2") in here.releases.wanted()
    loop.tick(NOW + 121)
    assert here.now(experiment).why_stopped == "version 2 could not be brought"
    assert here.causes() == {"version": 1}
    assert here.releases.holder("faces") is None


def test_another_champion_ends_it(here: Place) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    point(here.root, MODEL, "2", here.digest)
    loop.tick(NOW + 1)
    assert "is not the champion any more" in here.now(experiment).why_stopped
    assert here.causes() == {"champion": 1}
    assert read_split(here.root, MODEL) is None


def test_an_arm_that_no_replica_can_load_ends_it(here: Place) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    refused = Prediction(
        new_identity(), NOW, "faces", MODEL, "2", "challenger", "", experiment.identity, "", "failed", 0, 0.0, {},
        {"load_refused": 1.0},
    )  # fmt: skip
    here.write([refused])
    loop.tick(NOW + 1)
    assert here.now(experiment).why_stopped == "a replica could not load the arm challenger"
    assert here.causes() == {"version": 1}


@pytest.mark.parametrize("moves", [(), ("hold",), ("hold", "claim"), ("hold", "claim", "split")])
def test_a_loop_that_was_killed_anywhere_is_taken_up_by_the_next(here: Place, moves: tuple[str, ...]) -> None:
    experiment = here.started(policy={"threshold": 0.3})
    if "hold" in moves:
        experiment = here.experiments.move(experiment, state.hold(experiment), "hold")
    if "claim" in moves:
        here.releases.claim("faces", MODEL, experiment.identity, ("1", "2"))
    if "split" in moves:
        here.loop().tick(NOW)
    here.loop().tick(NOW + 1)
    split = read_split(here.root, MODEL)
    assert split is not None
    assert split.variants[1].policy == {"threshold": 0.3}
    (here.root / MODEL / "traffic.json").write_text("damaged")
    here.loop().tick(NOW + 2)
    assert read_split(here.root, MODEL) == split


def test_the_round_runs_over_the_settings(here: Place) -> None:
    experiment = here.started()
    each = experiments_round(here.settings, Metrics())
    each.run()
    assert here.now(experiment).began is not None
    each.close()
