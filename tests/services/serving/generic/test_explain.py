import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE_SECONDS

ROW = [round(0.01 * place, 2) for place in range(64)]


def explain(port: int, features: object, name: str = "demo") -> tuple[int, Any]:
    data = json.dumps({"features": features}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/endpoints/{name}/explain", data)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_an_effect_is_what_the_model_says_without_the_feature(both: tuple[Any, Any]) -> None:
    status, told = explain(both[0].port, [ROW, [1.0] * 64])
    model = both[0].generic.predictor.endpoints["demo"].current()
    assert status == 200
    assert told["runs"] == 2 * 65
    for row, explanation in zip(([*ROW], [1.0] * 64), told["explanations"], strict=True):
        features = np.array([row], np.float32)
        label, shares = model.run({"features": features})
        assert explanation["prediction"] == label[0]
        assert explanation["score"] == pytest.approx(shares[0].max(), rel=1e-5)
        for place in (0, 31, 63):
            without = features.copy()
            without[0, place] = told["baseline"][place]
            lower = shares[0, label[0]] - model.run({"features": without})[1][0, label[0]]
            assert explanation["effects"][place] == pytest.approx(lower, abs=1e-5)


@pytest.mark.parametrize(
    ("features", "name", "status"),
    [([ROW] * 64, "demo", 422), ([[1.0]], "demo", 422), ([], "demo", 422), ([ROW], "other", 404)],
)
def test_what_cannot_be_explained_is_a_problem(both: tuple[Any, Any], features: object, name: str, status: int) -> None:
    answer = explain(both[0].port, features, name)
    assert answer[0] == status
    assert answer[1]["status"] == status
