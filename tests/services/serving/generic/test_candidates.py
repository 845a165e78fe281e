"""What a candidate does worse than the champion costs no request, and is a failure of its own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.generic.cost import Cost
from mlops.generic.loading import GenericModel
from mlops.rollout.traffic import write_split
from tests.patience import PATIENCE_SECONDS, until
from tests.services.serving.generic.asking import EXPLAIN, ROW, ask, second, split_of

QUICK = Cost(1e-5, 1e-6, batches=True)
HOLLOW = [9.0, *ROW[1:]]
"""What models that are `hollow` give no numbers for."""
Made = Callable[[GenericModel], GenericModel]


@pytest.fixture
def beside(
    serve_generic: Callable[..., Any], demo_bundle: tuple[Path, str], tmp_path: Path, tmp_path_factory: Any
) -> Callable[..., Any]:
    """Serve a champion and a candidate that were made into something else: ``with beside(candidate, champion)``."""

    @contextmanager
    def served_beside(
        candidate: Made, champion: Made, *, hot: bool = True, shadow: bool = False, **variables: object
    ) -> Iterator[Any]:
        digest = second(tmp_path, demo_bundle, tmp_path_factory.mktemp("two"))
        write_split(tmp_path, split_of((demo_bundle[1], digest), 0.0 if shadow else 0.5, shadow))
        with serve_generic(tmp_path, hot, **variables) as served:
            endpoint = served.generic.predictor.endpoints["demo"]
            until(lambda: "challenger_version" in endpoint.readiness().facts)
            own = endpoint.champion()
            other = endpoint.shadow() or endpoint.choose("", "challenger")
            endpoint.swap(own.split, {"champion": champion(own.model), "challenger": candidate(other.model)})
            yield served

    return served_beside


def quick(model: GenericModel) -> GenericModel:
    """The model at a cost at which it runs where a request arrives, on any machine."""
    return replace(model, cost=QUICK)


def hollow(model: GenericModel) -> GenericModel:
    """A model that has no probabilities for some rows."""

    class Hollow:
        def run(self, names: Any, inputs: Any) -> Any:
            outputs = [np.array(each) for each in model.session.run(names, inputs)]
            outputs[1][inputs["features"][:, 0] > 5] = np.nan
            return outputs

    return replace(model, session=Hollow(), cost=QUICK)


def held(model: GenericModel, gate: threading.Event, cost: Cost) -> GenericModel:
    """A model that computes once a gate is open."""

    class Held:
        def run(self, names: Any, inputs: Any) -> Any:
            assert gate.wait(PATIENCE_SECONDS)
            return model.session.run(names, inputs)

    return replace(model, session=Held(), cost=cost)


def told(served: Any) -> set[Any]:
    return {(row.variant, row.outcome, row.status) for row in served.rows.kept}


def infer(row: list[float]) -> dict[str, Any]:
    return {"inputs": [{"name": "features", "shape": [1, 64], "datatype": "FP32", "data": row}]}


@pytest.mark.parametrize(
    ("hot", "path"), [(True, "/predict"), (False, "/predict"), (False, EXPLAIN), (True, "/v2/models/demo/infer")]
)
def test_the_champion_answers_where_a_candidate_gives_no_numbers(
    beside: Callable[..., Any], hot: bool, path: str
) -> None:
    with beside(hollow, quick, hot=hot) as served:

        def variants(*rows: list[float]) -> set[Any]:
            del served.rows.kept[:]
            body = infer(rows[0]) if "infer" in path else {"features": list(rows)}
            answers = [ask(served.port, path, body, X_Subject_Id=f"s{n}") for n in range(20)]
            assert all(status == 200 and "None" not in str(said) for status, _, said in answers)
            return {headers["x-variant"] for _, headers, _ in answers}

        assert variants(HOLLOW) == {"champion"}
        assert told(served) == {("champion", "ok", 200), ("challenger", "failed", 500)}
        assert variants(ROW) == {"champion", "challenger"}
        assert told(served) == {("champion", "ok", 200), ("challenger", "ok", 200)}
        if "infer" not in path:
            assert variants(ROW, HOLLOW) == {"champion"}


def test_many_at_a_time_fail_each_by_itself(beside: Callable[..., Any]) -> None:
    with beside(hollow, quick) as served, ThreadPoolExecutor(16) as pool:
        bodies = [{"features": [HOLLOW if n % 2 else ROW]} for n in range(64)]
        answers = list(pool.map(lambda body: ask(served.port, "/predict", body, X_Variant="challenger"), bodies))
    for body, (status, headers, said) in zip(bodies, answers, strict=True):
        assert (status, headers["x-variant"]) == (200, "champion" if body["features"][0][0] > 5 else "challenger")
        assert None not in said["probabilities"][0]


def test_a_candidate_may_lack_the_numbers_that_the_champion_lacks(beside: Callable[..., Any]) -> None:
    with beside(hollow, hollow) as served:
        for row in (HOLLOW, ROW):
            _, headers, _ = ask(served.port, "/predict", {"features": [row]}, X_Variant="challenger")
            assert headers["x-variant"] == "challenger"
        assert told(served) == {("challenger", "ok", 200)}


@pytest.mark.parametrize(("champion", "outcome"), [(quick, "failed"), (hollow, "ok")])
def test_a_shadow_that_gives_no_numbers_fails(beside: Callable[..., Any], champion: Made, outcome: str) -> None:
    with beside(hollow, champion, shadow=True) as served:
        assert ask(served.port, "/predict", {"features": [HOLLOW]})[1]["x-variant"] == "champion"
        until(lambda: len(served.rows.kept) == 2)
        assert {(row.shadow, row.outcome) for row in served.rows.kept} == {(False, "ok"), (True, outcome)}


def ask_many(served: Any, gate: threading.Event, count: int) -> list[tuple[int, str]]:
    """Ask a candidate that is held twelve times at once; open the gate when so many are answered nevertheless."""
    with ThreadPoolExecutor(12) as pool:
        asked = [
            pool.submit(ask, served.port, "/predict", {"features": [ROW]}, X_Variant="challenger") for _ in range(12)
        ]
        until(lambda: sum(each.done() for each in asked) == count)
        assert not gate.is_set()
        gate.set()
        return sorted((each.result()[0], each.result()[1]["x-variant"]) for each in asked)


def test_the_champion_answers_what_is_refused_for_what_a_candidate_costs(beside: Callable[..., Any]) -> None:
    gate, cost = threading.Event(), Cost(PATIENCE_SECONDS / 2, 0.0, batches=False)
    bounds = {"serving__threads": 1, "serving__predict_seconds": PATIENCE_SECONDS}
    with beside(lambda model: held(model, gate, cost), quick, **bounds) as served:
        answers = ask_many(served, gate, 9)
        assert answers == [(200, "challenger")] * 3 + [(200, "champion")] * 9
        failed = [row.variant for row in served.rows.kept if row.outcome == "failed"]
        assert failed == ["challenger"] * 9, "who is refused most of the time is not faultless"


def test_what_the_champion_would_be_refused_for_too_stays_refused(beside: Callable[..., Any]) -> None:
    gate, cost = threading.Event(), Cost(PATIENCE_SECONDS / 2, 0.0, batches=False)
    bounds = {"serving__threads": 1, "serving__predict_seconds": PATIENCE_SECONDS}
    with beside(lambda model: held(model, gate, cost), lambda model: held(model, gate, cost), **bounds) as served:
        answers = ask_many(served, gate, 9)
        assert answers == [(200, "challenger")] * 3 + [(503, "challenger")] * 9
        assert {row.outcome for row in served.rows.kept} == {"ok", "refused"}


def costly(model: GenericModel) -> GenericModel:
    """The model at a cost at which it is handed to a thread."""
    return replace(model, cost=Cost(1, 0, batches=False))


@pytest.mark.parametrize(("champion", "answer"), [(quick, (200, "champion")), (costly, (503, "challenger"))])
def test_what_waits_too_long_is_the_champions_where_that_need_not_wait(
    beside: Callable[..., Any], champion: Made, answer: tuple[int, str]
) -> None:
    # No thread is there that soon.
    with beside(costly, champion, serving__predict_seconds=1e-9) as served:
        status, headers, _ = ask(served.port, "/predict", {"features": [ROW]}, X_Variant="challenger")
        assert (status, headers["x-variant"]) == answer
        assert ("failed" in {row.outcome for row in served.rows.kept}) == (status == 200)
