"""Serving against other servers of models, against the bare runtime, and under more load than it can take.

`python -m benchmarks.serving [--only mlp,cpu,photo,overload] [--seconds 3]`. Everything is one run on one machine, the
rounds of all servers in turn, so read the ratios, not the numbers. Load comes from `wrk` where it is on the PATH, else
from `benchmarks.serving_load`. Our server is measured as it is by default (rows of predictions, metrics, routing,
limits, captures), once without what surrounds a prediction and once without its row, too; and so is a server that does
nothing but HTTP (`benchmarks.serving_floor`).
"""

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.serving_mlp import cpu, mlp
from benchmarks.serving_peers import PEERS
from benchmarks.serving_photo import bare_photos_per_second, photo
from benchmarks.serving_server import (
    FIRST_PORT,
    ROUNDS,
    WARM_SECONDS,
    ask,
    cpu_seconds,
    load,
    open_load,
    ours,
    running,
    wait_for,
)
from masking.onnx import open_session
from mlops.generic.loading import load_generic
from mlops.registry.bundle import current, install, open_bundle
from mlops.settings import load_settings
from pipelines.demo_model import Training, build
from services.serving.cores import cores

PHOTO_CONNECTIONS: Final = 8
PHOTO_SLO_SECONDS: Final = 0.2
OVERLOAD: Final = 4.0
OVERLOAD_CONNECTIONS: Final = 64


def photos(root: Path, seconds: float) -> float:
    """Print photos a second against a bare loop on as many threads; returns ours."""
    settings = load_settings()
    bundle = current(settings.registry.bundles_path, settings.registry.model)
    if bundle is None:
        print("photo: no model of faces is installed, run `make run` first")
        return 0.0
    picture = root / "photo.jpg"
    picture.write_bytes(photo())
    port = FIRST_PORT + 90
    environment = ours(root, port, REGISTRY__BUNDLES_PATH=str(settings.registry.bundles_path), quiet="1")
    url = f"http://127.0.0.1:{port}/v1/mask/image?search=fast"
    head = "Cache-Control: no-store|Content-Type: image/jpeg"
    log = root / "photo.log"
    with running([sys.executable, "-m", "benchmarks.serving_ours"], environment, log) as process:
        wait_for(url, picture, {"Cache-Control": "no-store"}, log)
        load(url, picture, PHOTO_CONNECTIONS, WARM_SECONDS, head)
        mine, bare, spent = [], [], []
        for _ in range(ROUNDS):
            bare.append(bare_photos_per_second(bundle, picture.read_bytes(), cores(), seconds))
            before = cpu_seconds(process.pid)
            mine.append(load(url, picture, PHOTO_CONNECTIONS, seconds, head))
            spent.append((cpu_seconds(process.pid) - before) / (mine[-1] * seconds))
        ratio = statistics.median(a / b for a, b in zip(mine, bare, strict=True))
        print(
            f"photo 640x480 JPEG, {PHOTO_CONNECTIONS} connections: {statistics.median(mine):.0f}/s, bare loop on "
            f"{cores()} threads {statistics.median(bare):.0f}/s: {ratio:.2f}x (wanted >= 0.9x); "
            f"{statistics.median(spent) * 1e3:.1f} ms CPU each"
        )
        cache(url, picture)
    return statistics.median(mine)


def cache(url: str, picture: Path) -> None:
    """Print what an answer from the cache takes against one made anew, asked one after the other."""
    data, times = picture.read_bytes(), {}
    for name, head in (("anew", {"Cache-Control": "no-store"}), ("hit", {})):
        ask(url, data, head)
        took = []
        for _ in range(40):
            start = time.perf_counter()
            ask(url, data, head)
            took.append(time.perf_counter() - start)
        times[name] = statistics.median(took)
    print(
        f"cache: a hit takes {times['hit'] * 1e3:.2f} ms, an answer made anew {times['anew'] * 1e3:.1f} ms: "
        f"{times['anew'] / times['hit']:.1f}x faster (wanted >= 20x)"
    )


def overload(root: Path, seconds: float, capacity: float) -> None:
    """Print what becomes of four times as many photos as can be masked, with a queue that is kept to the SLO."""
    settings = load_settings()
    picture, port = root / "photo.jpg", FIRST_PORT + 95
    # One photo alone must fit in: where it does not, as on a machine that does much else, the SLO is four photos long.
    slo = max(PHOTO_SLO_SECONDS, 4 * cores() / capacity)
    # The way there and back is part of what is promised.
    limits = {"SERVING__QUEUE_SECONDS": f"{0.4 * slo:.3f}", "SERVING__DEADLINE_SECONDS": f"{0.9 * slo:.3f}"}
    bundles = str(settings.registry.bundles_path)
    environment = ours(root, port, REGISTRY__BUNDLES_PATH=bundles, quiet="1", **limits)
    url, log = f"http://127.0.0.1:{port}/v1/mask/image?search=fast", root / "overload.log"
    head = "Cache-Control: no-store|Content-Type: image/jpeg"
    with running([sys.executable, "-m", "benchmarks.serving_ours"], environment, log):
        wait_for(url, picture, {"Cache-Control": "no-store"}, log)
        told = open_load(url, picture, OVERLOAD * capacity, seconds, OVERLOAD_CONNECTIONS, head)
    p50, _, p99, longest = told["quantiles"] or [float("nan")] * 4
    print(
        f"overload at {OVERLOAD:g}x of {capacity:.0f}/s: {told['per_second']:.1f}/s answered "
        f"({told['per_second'] / capacity:.0%} of capacity, wanted >= 80 %), statuses {told['statuses']}; latency of "
        f"those: p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, longest {longest * 1e3:.0f} ms "
        f"(SLO {slo * 1e3:.0f} ms)"
    )


def prepared(root: Path) -> None:
    """Train the demo model and put it in place."""
    digest, accuracy = build(root / "trained", "demo", Training())
    install(root / "trained", root / "bundles", "demo", "1", digest)
    model = load_generic(open_bundle(root / "bundles/demo/1", "1", digest), open_session)
    print(
        f"demo model: accuracy {accuracy:.3f}; a run costs {model.cost.call_seconds * 1e6:.1f} us and "
        f"{model.cost.row_seconds * 1e6:.2f} us a row; requests share runs: {'yes' if model.cost.batches else 'no'}"
    )


def main() -> None:
    """Print what was asked for."""
    parts: Mapping[str, Callable[..., object]] = {"mlp": mlp, "cpu": cpu, "photo": photos, "overload": overload}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="Measure serving.")
    parser.add_argument("--only", default=",".join(parts), help="what to measure, with commas")
    parser.add_argument("--peers", default=",".join(PEERS), help="which other servers, with commas")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    wish = parser.parse_args()
    # Whoever ends this ends the servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    asked = set(wish.only.split(","))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepared(root)
        if asked & {"mlp", "cpu"}:
            servers = mlp(root, wish.seconds, [name for name in wish.peers.split(",") if name])
            cpu(root, servers["ours"])
        if asked & {"photo", "overload"}:
            capacity = photos(root, wish.seconds)
            if "overload" in asked and capacity:
                overload(root, wish.seconds, capacity)


if __name__ == "__main__":
    main()
