"""Generic endpoints as FastAPI serves them: the protocol's other routes, versions, captures, shadows, candidates."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.generic.cost import Cost
from mlops.generic.tensors import Tensor
from mlops.registry.bundle import install
from mlops.rollout.traffic import write_split
from pipelines.generic_bundle import assemble
from tests.patience import PATIENCE_SECONDS, until
from tests.services.serving.generic.asking import EXPLAIN, NO_ENDPOINT, ROW, ask, second, split_of


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v2", 200, {"name": "identity-masking-stack", "version": "1", "extensions": ["binary_tensor_data"]}),
        ("/v2/", 200, {"name": "identity-masking-stack", "version": "1", "extensions": ["binary_tensor_data"]}),
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 200, {"ready": True}),
        ("/v2/models/demo/ready", 200, {"name": "demo", "ready": True}),
        ("/v2/models/demo/versions/3/ready", 200, {"name": "demo", "ready": True}),
        ("/v2/models/demo/versions/4/ready", 503, {"name": "demo", "ready": False}),
        ("/v2/models/other/ready", 404, {"error": f"{NO_ENDPOINT}: no such model here"}),
        ("/v2/models/other", 404, {"error": f"{NO_ENDPOINT}: no such model here"}),
        ("/v2/models/demo/versions/4", 404, {"error": f"{NO_ENDPOINT}: no such version answers here"}),
    ],
)
def test_the_protocols_routes(both: tuple[Any, Any], path: str, status: int, told: object) -> None:
    answer = ask(both[0].port, path)
    assert (answer[0], answer[2]) == (status, told)


def test_the_protocol_says_what_is_wrong_and_what_to_do(both: tuple[Any, Any]) -> None:
    body = {"inputs": [{"name": "features", "shape": [1, 64], "datatype": "FP32", "data": ROW}]}
    for served in both:
        status, _, told = ask(served.port, "/v2/models/nope/infer", body)
        assert (status, told) == (404, {"error": f"{NO_ENDPOINT}: GET /v1/endpoints lists those that there are"})


@pytest.mark.parametrize("path", ["/v2/models/demo", "/v2/models/demo/versions/3"])
def test_a_models_metadata_are_its_signature(both: tuple[Any, Any], path: str) -> None:
    assert ask(both[0].port, path)[2] == {
        "name": "demo",
        "versions": ["3"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [
            {"name": "predictions", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        ],
    }


@pytest.mark.parametrize("path", ["/predict", EXPLAIN])
def test_a_body_that_is_too_large_is_told_without_a_word_of_media(both: tuple[Any, Any], path: str) -> None:
    for served in both:
        status, _, told = ask(served.port, path, {"features": [ROW], "more": "x" * 192_000})
        assert (status, told["title"]) == (413, "What is sent is larger than the limits allow")
        assert "media" not in told["detail"]


def test_the_endpoints_are_listed(both: tuple[Any, Any]) -> None:
    told = ask(both[0].port, "/v1/endpoints")[2]
    assert told["default"] == "demo"
    assert told["endpoints"] == [
        {
            "name": "demo",
            "model": "demo",
            "ready": True,
            "variants": [{"name": "champion", "version": "3", "weight": 1.0, "shadow": False}],
            "release": None,
            "experiment": None,
        }
    ]


def test_an_answer_is_captured_with_what_it_was_made_of(both: tuple[Any, Any]) -> None:
    served = both[0]
    del served.samples.kept[:]
    _, headers, told = ask(served.port, "/predict", {"features": [ROW, ROW]})
    ask(served.port, "/predict", {"features": [[1.0]]})
    (capture,) = served.samples.kept
    assert capture.identity == headers["x-prediction-id"] == told["prediction_id"]
    assert (capture.endpoint, capture.version, capture.variant) == ("demo", "3", "champion")
    np.testing.assert_allclose(capture.features["features"], [ROW, ROW], rtol=1e-6)
    assert capture.output["predictions"].tolist() == told["predictions"]


@pytest.fixture
def root(demo_bundle: tuple[Path, str], tmp_path: Path) -> Path:
    install(demo_bundle[0], tmp_path, "demo", "1", demo_bundle[1])
    # Version 2 is installed first and pointed away from, as a candidate is.
    return tmp_path


def test_traffic_is_split_by_subject_and_may_be_picked(
    serve_generic: Callable[..., Any], root: Path, demo_bundle: tuple[Path, str], tmp_path_factory: Any
) -> None:
    digest = second(root, demo_bundle, tmp_path_factory.mktemp("two"))
    write_split(root, split_of((demo_bundle[1], digest), 0.5))
    with serve_generic(root) as served:
        until(lambda: len(ask(served.port, "/v2/models/demo")[2].get("versions", ())) == 2)
        seen = {
            name: {
                ask(served.port, "/predict", {"features": [ROW]}, X_Subject_Id=name)[1]["x-variant"] for _ in range(3)
            }
            for name in (f"subject-{place}" for place in range(40))
        }
        assert all(len(variants) == 1 for variants in seen.values())
        assert {next(iter(variants)) for variants in seen.values()} == {"champion", "challenger"}
        for variant, version in (("champion", "1"), ("challenger", "2")):
            _, headers, told = ask(served.port, "/predict", {"features": [ROW]}, X_Variant=variant)
            assert (headers["x-model-version"], told["model_version"], told["variant"]) == (version, version, variant)
            body = {"inputs": [{"name": "features", "shape": [1, 64], "datatype": "FP32", "data": ROW}]}
            assert ask(served.port, f"/v2/models/demo/versions/{version}/infer", body)[2]["model_version"] == version
        assert {(row.release, "picked" in row.counts) for row in served.rows.kept} == {("r1", False), ("", True)}


def test_only_those_who_may_pick_a_version(
    serve_generic: Callable[..., Any], root: Path, demo_bundle: tuple[Path, str], tmp_path_factory: Any
) -> None:
    digest = second(root, demo_bundle, tmp_path_factory.mktemp("two"))
    write_split(root, split_of((demo_bundle[1], digest), 0.5))
    body = {"inputs": [{"name": "features", "shape": [1, 64], "datatype": "FP32", "data": ROW}]}
    with serve_generic(root, serving__override_networks="10.0.0.0/8") as served:
        until(lambda: len(ask(served.port, "/v2/models/demo")[2].get("versions", ())) == 2)
        assert ask(served.port, "/v2/models/demo/versions/1/infer", body)[0] == 200
        assert ask(served.port, "/v2/models/demo/versions/2/infer", body)[0] == 403
        assert ask(served.port, "/predict", {"features": [ROW]}, X_Variant="challenger")[0] == 403


def test_who_is_not_named_counts_in_experiments_and_who_picks_does_not(
    serve_generic: Callable[..., Any], root: Path, demo_bundle: tuple[Path, str], tmp_path_factory: Any
) -> None:
    digest = second(root, demo_bundle, tmp_path_factory.mktemp("two"))
    write_split(root, split_of((demo_bundle[1], digest), 0.5, experiment="e1"))
    with serve_generic(root) as served:
        until(lambda: len(ask(served.port, "/v2/models/demo")[2].get("versions", ())) == 2)
        del served.rows.kept[:]
        ask(served.port, "/predict", {"features": [ROW]}, X_Request_Id="mine")
        ask(served.port, "/predict", {"features": [ROW]}, X_Variant="champion")
        drawn, picked = served.rows.kept
    assert (drawn.experiment, drawn.subject) == ("e1", "mine")
    assert (picked.experiment, picked.release, picked.subject) == ("", "", "")


def test_a_shadow_gets_copies_and_answers_nobody(
    serve_generic: Callable[..., Any], root: Path, demo_bundle: tuple[Path, str], tmp_path_factory: Any
) -> None:
    digest = second(root, demo_bundle, tmp_path_factory.mktemp("two"))
    write_split(root, split_of((demo_bundle[1], digest), 0.0, shadow=True))
    with serve_generic(root) as served:
        until(lambda: served.generic.predictor.endpoints["demo"].shadow() is not None)
        assert ask(served.port, "/predict", {"features": [ROW]})[1]["x-variant"] == "champion"
        until(lambda: len(served.rows.kept) == 2)
        copy = next(row for row in served.rows.kept if row.shadow)
        assert (copy.version, copy.variant, copy.outcome) == ("2", "challenger", "ok")
        assert copy.counts["agrees"] == 1.0
        (real,) = (row for row in served.rows.kept if not row.shadow)
        assert 0.1 <= real.counts["utility"] == copy.counts["utility"] <= 1, "how sure both are, of ten classes"
        assert ask(served.port, "/predict", {"features": [ROW]}, X_Variant="challenger")[0] == 422


@pytest.mark.parametrize(("hot", "path"), [(True, "/predict"), (False, "/predict"), (False, EXPLAIN)])
def test_the_champion_answers_what_a_candidate_fails_at(
    serve_generic: Callable[..., Any],
    root: Path,
    demo_bundle: tuple[Path, str],
    tmp_path_factory: Any,
    hot: bool,
    path: str,
) -> None:
    digest = second(root, demo_bundle, tmp_path_factory.mktemp("two"))
    write_split(root, split_of((demo_bundle[1], digest), 0.5))
    with serve_generic(root, hot) as served:
        endpoint = served.generic.predictor.endpoints["demo"]
        until(lambda: len(ask(served.port, "/v2/models/demo")[2].get("versions", ())) == 2)
        champion, candidate = endpoint.champion(), endpoint.choose("", "challenger")

        class Failing:
            def run(self, names: Any, inputs: Any) -> Any:
                raise RuntimeError("no")

        broken = replace(candidate.model, session=Failing(), cost=Cost(1e-5, 1e-6, batches=True))
        endpoint.swap(champion.split, {"champion": champion.model, "challenger": broken})
        del served.rows.kept[:]
        answers = [ask(served.port, path, {"features": [ROW]}, X_Subject_Id=f"s{n}") for n in range(20)]
        assert {(status, headers["x-variant"]) for status, headers, _ in answers} == {(200, "champion")}
        outcomes = {(row.variant, row.outcome, row.status) for row in served.rows.kept}
        assert outcomes == {("champion", "ok", 200), ("challenger", "failed", 500)}
        answered = {row.time for row in served.rows.kept if row.outcome == "ok"}
        failed = {row.time for row in served.rows.kept if row.outcome == "failed"}
        assert failed, "some subjects are the candidate's"
        assert failed <= answered, "an experiment knows by the time that the champion's answer is the arm's failure"


@pytest.mark.parametrize(("hot", "path"), [(True, "/predict"), (False, "/predict"), (False, EXPLAIN)])
def test_a_candidate_fails_that_refuses_what_the_champion_takes(
    serve_generic: Callable[..., Any],
    root: Path,
    demo_bundle: tuple[Path, str],
    tmp_path_factory: Any,
    hot: bool,
    path: str,
) -> None:
    digest = second(root, demo_bundle, tmp_path_factory.mktemp("two"))
    write_split(root, split_of((demo_bundle[1], digest), 0.5))
    with serve_generic(root, hot) as served:
        endpoint = served.generic.predictor.endpoints["demo"]
        until(lambda: len(ask(served.port, "/v2/models/demo")[2].get("versions", ())) == 2)
        champion, candidate = endpoint.champion(), endpoint.choose("", "challenger")
        narrow = replace(candidate.model, inputs=(Tensor("features", "FP32", (-1, 32)),))
        endpoint.swap(champion.split, {"champion": champion.model, "challenger": narrow})

        def outcomes(features: list[float]) -> tuple[set[Any], set[Any], set[Any]]:
            del served.rows.kept[:]
            answers = [ask(served.port, path, {"features": [features]}, X_Subject_Id=f"s{n}") for n in range(20)]
            told = {headers["x-prediction-id"]: (status, headers["x-variant"]) for status, headers, _ in answers}
            of_answers, others = (
                {(row.variant, row.outcome, row.status) for row in served.rows.kept if (row.identity in told) is there}
                for there in (True, False)
            )
            return set(told.values()), of_answers, others

        assert outcomes(ROW) == ({(200, "champion")}, {("champion", "ok", 200)}, {("challenger", "failed", 500)})
        assert outcomes(ROW[:5]) == (
            {(422, "champion"), (422, "challenger")},
            {("champion", "rejected", 422), ("challenger", "rejected", 422)},
            set(),
        )
        body = {"inputs": [{"name": "features", "shape": [1, 64], "datatype": "FP32", "data": ROW}]}
        assert ask(served.port, "/v2/models/demo/versions/2/infer", body)[0] == 400, "this version was asked for"


def test_a_champion_that_fails_is_told_as_a_problem_and_by_the_protocol(
    serve_generic: Callable[..., Any], root: Path
) -> None:
    with serve_generic(root) as served:
        endpoint = served.generic.predictor.endpoints["demo"]
        champion = endpoint.champion()

        class Failing:
            def run(self, names: Any, inputs: Any) -> Any:
                raise RuntimeError("secret")

        endpoint.swap(champion.split, {"champion": replace(champion.model, session=Failing())})
        for path in ("/predict", EXPLAIN):
            status, _, told = ask(served.port, path, {"features": [ROW]})
            assert (status, told["title"]) == (500, "The model failed")
        body = {"inputs": [{"name": "features", "shape": [1, 64], "datatype": "FP32", "data": ROW}]}
        assert ask(served.port, "/v2/models/demo/infer", body)[2] == {"error": "The model failed"}
        assert [row.outcome for row in served.rows.kept] == ["failed"] * 3


def test_an_endpoint_appears_as_soon_as_its_model_does(
    serve_generic: Callable[..., Any], demo_bundle: tuple[Path, str], tmp_path: Path
) -> None:
    with serve_generic(tmp_path) as served:
        assert ask(served.port, "/predict", {"features": [ROW]})[0] == 404
        install(demo_bundle[0], tmp_path, "demo", "1", demo_bundle[1])
        until(lambda: ask(served.port, "/predict", {"features": [ROW]})[0] == 200)


def test_a_new_champion_takes_over_without_a_failed_request(
    serve_generic: Callable[..., Any], root: Path, demo_bundle: tuple[Path, str], tmp_path_factory: Any
) -> None:
    with serve_generic(root) as served:
        assert ask(served.port, "/predict", {"features": [ROW]})[1]["x-model-version"] == "1"
        rng = np.random.default_rng(9)
        folder = tmp_path_factory.mktemp("new") / "bundle"
        graph = (demo_bundle[0] / "model.onnx").read_bytes()
        digest = assemble(folder, "demo", graph, {"features": rng.random((4, 64), np.float32)})
        install(folder, root, "demo", "2", digest)
        seen = []
        until(
            lambda: (
                seen.append(ask(served.port, "/predict", {"features": [ROW]})) or seen[-1][1]["x-model-version"] == "2"
            )
        )
        assert {status for status, _, _ in seen} == {200}


def test_what_costs_too_much_to_wait_for_is_refused(serve_generic: Callable[..., Any], root: Path) -> None:
    gate = threading.Event()
    # A request that was let in waits up to twice as long as is promised, which may be long while others are asked.
    with serve_generic(root, serving__threads=1, serving__predict_seconds=PATIENCE_SECONDS) as served:
        endpoint = served.generic.predictor.endpoints["demo"]
        champion = endpoint.champion()

        class Slow:
            def run(self, names: Any, inputs: Any) -> Any:
                assert gate.wait(PATIENCE_SECONDS)
                return champion.model.session.run(names, inputs)

        # What runs fills half of the time that is promised, and so does each that waits for it: the fourth is too many.
        slow = replace(champion.model, session=Slow(), cost=Cost(PATIENCE_SECONDS / 2, 0.0, batches=False))
        endpoint.swap(champion.split, {"champion": slow})
        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(ask, served.port, "/predict", {"features": [ROW]}) for _ in range(12)]
            until(lambda: sum(each.done() for each in asked) == 9)
            assert not gate.is_set(), "who is refused waits for nobody"
            gate.set()
            answers = [each.result() for each in asked]
        assert sorted(status for status, _, _ in answers) == [200] * 3 + [503] * 9
        assert all(int(headers["retry-after"]) >= 1 for status, headers, _ in answers if status == 503)
