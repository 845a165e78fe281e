"""What happens when a part is lost or replaced: masking goes on, and a new champion takes over without a restart."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.stack
JPEG = {"Content-Type": "image/jpeg"}
API = "/api/2.0/mlflow"
MODEL = "face-detector"


def test_masking_goes_on_without_redis(proxy: httpx2.Client, photo: bytes, compose: Callable[..., str]) -> None:
    compose("kill", "redis")
    try:
        for _ in range(6):
            answer = proxy.post("/v1/mask/image", content=photo, headers=JPEG)
            assert answer.status_code == 200
            assert int(answer.headers["X-Faces-Masked"]) >= 1
            assert answer.headers["X-Cache"] in {"miss", "hit-memory"}
    finally:
        compose("up", "--detach", "--wait", "redis")


def test_serving_goes_on_and_even_starts_without_the_registry(
    proxy: httpx2.Client,
    ready: Callable[[], bool],
    photo: bytes,
    compose: Callable[..., str],
    until: Callable[..., Any],
) -> None:
    compose("stop", "--timeout", "10", "mlflow")
    try:
        assert proxy.post("/v1/mask/image", content=photo, headers=JPEG).status_code == 200
        compose("restart", "serving")
        until(ready)
        assert proxy.post("/v1/mask/image", content=photo, headers=JPEG).status_code == 200
    finally:
        compose("up", "--detach", "--wait", "mlflow")


def test_a_moved_alias_swaps_the_model_without_a_restart(
    proxy: httpx2.Client,
    mlflow: httpx2.Client,
    photo: bytes,
    compose: Callable[..., str],
    until: Callable[..., Any],
) -> None:
    def masked() -> httpx2.Response:
        answer = proxy.post("/v1/mask/image", content=photo, headers=JPEG)
        assert answer.status_code == 200
        return answer

    def champion() -> dict[str, Any]:
        asked = {"name": MODEL, "alias": "champion"}
        return mlflow.get(f"{API}/registered-models/alias", params=asked).json()["model_version"]

    def promote(version: str) -> None:
        named = {"name": MODEL, "alias": "champion", "version": version}
        assert mlflow.post(f"{API}/registered-models/alias", json=named).status_code == 200
        until(lambda: all(masked().headers["X-Model-Version"] == version for _ in range(6)))

    before = champion()
    started = compose("ps", "--format", "{{.ID}} {{.CreatedAt}}", "serving")
    copy = {key: before[key] for key in ("name", "source", "run_id", "tags")}
    created = mlflow.post(f"{API}/model-versions/create", json=copy)
    assert created.status_code == 200, created.text
    try:
        promote(created.json()["model_version"]["version"])
        assert int(masked().headers["X-Faces-Masked"]) >= 1
    finally:
        promote(before["version"])
    assert compose("ps", "--format", "{{.ID}} {{.CreatedAt}}", "serving") == started


def test_a_killed_replica_takes_only_its_running_requests_with_it(
    proxy: httpx2.Client,
    ready: Callable[[], bool],
    new_photo: Callable[[], bytes],
    compose: Callable[..., str],
    until: Callable[..., Any],
) -> None:
    replicas = compose("ps", "--quiet", "serving").split()
    if len(replicas) < 2:
        pytest.skip("one replica runs: SERVING_REPLICAS=2 docker compose up -d --wait")

    def masked(photo: bytes) -> bool:
        try:
            answer = proxy.post("/v1/mask/image", content=photo, headers=JPEG)
        except httpx2.RemoteProtocolError:  # the answer had begun when its replica was killed
            return False
        assert answer.status_code in {200, 503}
        return answer.status_code == 200

    photos = [new_photo() for _ in range(40)]
    try:
        with ThreadPoolExecutor(3) as pool:
            during = [pool.submit(masked, photo) for photo in photos[:25]]
            during[9].result()
            subprocess.run(["docker", "kill", "--signal", "KILL", replicas[0]], check=True, capture_output=True)
            # However long the engine took to kill it: who asks from here on is answered.
            after = [pool.submit(masked, photo) for photo in photos[25:]]
        assert [answer.result() for answer in during].count(False) <= 3
        assert all(answer.result() for answer in after)
    finally:
        compose("up", "--detach", "--wait", "serving")
    until(ready)
