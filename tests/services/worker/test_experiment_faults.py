"""The loop of experiments where an arm leaves faces open, and where something breaks: traffic is freed all the same."""

import logging
from collections.abc import Sequence

import msgspec
import pytest
import sqlalchemy as sa

from mlops.audit import AuditLog
from mlops.experiments import state
from mlops.experiments.plan import Metric
from mlops.experiments.state import Experiment
from mlops.experiments.table import EXPERIMENTS, OUTCOMES
from mlops.predictions.row import Prediction
from mlops.predictions.store import Judgement, PredictionStore
from mlops.rollout.traffic import read_split
from tests.services.worker.experiment_world import MODEL, NOW, Place, row

KEPT = Metric("kept", "continuous", "outcome.kept", better="higher", baseline=0.5, deviation=0.5)
VERSIONS = {"champion": "1", "challenger": "2"}


def pictures(experiment: str, arm: str, count: int, faces: float, began: int = 0) -> list[Prediction]:
    """Make rows of photos in which so many faces each were found."""
    made = [row(experiment, f"{arm}-{began}-{number}", arm, "ok", began + number) for number in range(count)]
    return [msgspec.structs.replace(each, version=VERSIONS[arm], counts={"faces": faces}) for each in made]


def judge(here: Place, rows: Sequence[Prediction], open_faces: int) -> None:
    """Say of each of these photos that so many faces of one show."""
    store = PredictionStore(here.predictions)
    store.judge([Judgement(r.time, r.identity, "faces", r.version, r.variant, 1, open_faces) for r in rows])


def broken(here: Place, experiment: Experiment) -> None:
    """Damage the row of an experiment so that no look at it can be computed."""
    needs = {"needs": {}, "subjects": 10**6, "days": 1.0, "fits": True}
    with here.platform.transaction() as connection:
        connection.execute(
            sa.update(EXPERIMENTS).where(EXPERIMENTS.c.identity == experiment.identity).values(needs=needs)
        )


def freed(here: Place, experiment: Experiment) -> bool:
    is_held = here.now(experiment).holds or here.releases.holder("faces") is not None
    return not is_held and read_split(here.root, MODEL) is None


def test_an_arm_that_finds_fewer_faces_is_stopped_as_harm(here: Place) -> None:
    experiment, loop = here.started(policy={"threshold": 0.99}, window_seconds=3600.0), here.loop()
    loop.tick(NOW)
    both = [each for arm in VERSIONS for each in pictures(experiment.identity, arm, 60, 1.0)]
    here.write(both)
    loop.tick(NOW + 61)
    assert here.now(experiment).state == "running", "both find the same"
    here.write(pictures(experiment.identity, "challenger", 60, 0.0, 100))
    loop.tick(NOW + 122)
    ended = here.now(experiment)
    assert ended.why_stopped.startswith(
        "the arm challenger hides less than the champion: the candidate's faces a picture"
    )
    assert (ended.look["answer"], ended.look["sentence"]) == ("roll back", f"Roll back: {ended.why_stopped}.")
    assert (freed(here, experiment), here.causes()) == (True, {"privacy": 1})
    stopped = [each for each in AuditLog(here.platform).entries() if each.action == "experiment.stop"]
    assert [(each.actor, each.details["reason"]) for each in stopped] == [("experiment-loop", ended.why_stopped)]


@pytest.mark.parametrize(("weight", "before"), [(0.5, 0), (0.99, 200)])
def test_an_arm_that_leaves_faces_open_is_stopped_also_where_the_control_has_hardly_any_traffic(
    here: Place, weight: float, before: int
) -> None:
    past = pictures("", "champion", before, 1.0, -10_000)
    experiment, loop = here.started(weight=weight), here.loop()
    loop.tick(NOW)
    beside = pictures(experiment.identity, "champion", 2 if before else 60, 1.0)
    treated = pictures(experiment.identity, "challenger", 25, 1.0)
    here.write([*past, *beside, *treated])
    judge(here, [*past, *beside], 0)
    judge(here, treated[:24], 1)
    loop.tick(NOW + 61)
    ended = here.now(experiment)
    assert "100.00% of the candidate's judged face-frames are open" in ended.why_stopped
    assert freed(here, experiment)


def test_what_is_not_judged_is_not_asked_for_faces(here: Place) -> None:
    here.put_demo()
    experiment, loop = here.started(endpoint="demo", window_seconds=3600.0), here.loop()
    loop.tick(NOW)
    here.write(
        [
            msgspec.structs.replace(each, endpoint="demo")
            for arm, faces in (("champion", 1.0), ("challenger", 0.0))
            for each in pictures(experiment.identity, arm, 60, faces)
        ]
    )
    loop.tick(NOW + 61)
    assert here.now(experiment).state == "running"


def test_harm_is_stopped_although_no_look_can_be_computed(here: Place, caplog: pytest.LogCaptureFixture) -> None:
    experiment, loop = here.started(), here.loop()
    loop.tick(NOW)
    broken(here, experiment)
    for arm, faces in (("champion", 1.0), ("challenger", 0.0)):
        here.write(pictures(experiment.identity, arm, 60, faces))
    loop.tick(NOW + 61)
    assert here.now(experiment).why_stopped.startswith("the arm challenger hides less")
    assert freed(here, experiment)
    assert "the last look at an experiment failed" in caplog.messages


def test_outcomes_that_used_to_be_taken_break_no_look(here: Place) -> None:
    experiment, loop = here.started(KEPT, window_seconds=30.0), here.loop()
    loop.tick(NOW)
    here.serve(240, {"champion": 0.0, "challenger": 0.0})
    values = [1e200, -1e200, 1.0]
    subjects = [each.subject for each in here.reader().rows(experiment.identity, ())]
    sent = [
        {"experiment": experiment.identity, "subject": who, "name": "kept", "time": NOW + 10, "value": values[n % 3]}
        for n, who in enumerate(subjects)
    ]
    with here.platform.transaction() as connection:
        connection.execute(sa.insert(OUTCOMES), sent)
    loop.tick(NOW + 61)
    finding = here.now(experiment).look["findings"][0]
    assert max(finding["values"]) < 1
    assert here.now(experiment).note == ""


def test_one_that_breaks_keeps_no_other_from_being_looked_at_and_is_freed_by_its_stop(
    here: Place, caplog: pytest.LogCaptureFixture
) -> None:
    here.put_demo()
    experiment, other, loop = here.started(), here.started(endpoint="demo", identity="f" * 32), here.loop()
    loop.tick(NOW)
    here.serve(240, {"champion": 0.1, "challenger": 0.1})
    broken(here, experiment)
    for seconds in (61, 62, 130):
        loop.tick(NOW + seconds)
    assert here.now(experiment).note == "it could not be carried on: KeyError: 'errors'"
    assert here.now(other).looked == NOW + 130
    told = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.getMessage() for each in told] == ["an experiment could not be carried on"], "once, while it lasts"
    here.experiments.act(experiment.identity, "bob", "stop", lambda each, _: state.stop(each, NOW + 140, "broken"))
    loop.tick(NOW + 141)
    assert freed(here, experiment)
    assert (here.now(experiment).note, here.causes()) == ("", {"person": 1})
