"""Asks generic endpoints, and gives them a candidate."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from mlops.registry.bundle import install
from mlops.rollout.traffic import Split, Variant
from pipelines.generic_bundle import assemble
from tests.patience import PATIENCE_SECONDS

ROW = [round(0.01 * place, 2) for place in range(64)]
EXPLAIN = "/v1/endpoints/demo/explain"
NO_ENDPOINT = "There is no such endpoint or version"


def ask(port: int, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    data = None if body is None else json.dumps(body).encode()
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, told)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.loads(error.read())


def second(root: Path, demo_bundle: tuple[Path, str], tmp: Path, seed: int = 5) -> str:
    """Bring another version beside the champion; returns its digest."""
    rng = np.random.default_rng(seed)
    graph = (demo_bundle[0] / "model.onnx").read_bytes()
    digest = assemble(tmp / "two", "demo", graph, {"features": rng.random((4, 64), np.float32)})
    install(tmp / "two", root, "demo", "2", digest)
    install(demo_bundle[0], root, "demo", "1", demo_bundle[1])
    return digest


def split_of(digests: tuple[str, str], weight: float, shadow: bool = False, experiment: str = "") -> Split:
    champion = Variant("champion", "1", digests[0], 1 - weight)
    return Split(
        "demo", (champion, Variant("challenger", "2", digests[1], weight, shadow)), release="r1", experiment=experiment
    )
