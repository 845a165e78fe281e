"""Serving against other servers of models, against the bare runtime, and under more load than it can take.

`python -m benchmarks.serving [--only mlp,cpu,photo,overload] [--seconds 3]`. Everything is one run on one machine, the
rounds of all servers in turn, so read the ratios, not the numbers. Load comes from `wrk` where it is on the PATH, else
from `benchmarks.serving_load`. Our server is measured as it is by default (rows of predictions, metrics, routing,
limits, captures), and once more without rows and captures.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError

import numpy as np

from benchmarks.serving_peers import PEERS
from benchmarks.serving_photo import bare_photos_per_second, photo
from masking.onnx import open_session
from mlops.generic.loading import load_generic
from mlops.registry.bundle import current, install, open_bundle
from mlops.settings import load_settings
from pipelines.demo_model import Training, build
from services.serving.cores import cores

CONNECTIONS: Final = 32
PHOTO_CONNECTIONS: Final = 8
ROUNDS: Final = 3
WARM_SECONDS: Final = 1.0
START_SECONDS: Final = 90.0
TICKS: Final = os.sysconf("SC_CLK_TCK")
FIRST_PORT: Final = 8650
PHOTO_SLO_SECONDS: Final = 0.2
OVERLOAD: Final = 4.0
OVERLOAD_CONNECTIONS: Final = 64
GOALS: Final = {"fastapi": 5, "mlserver": 15, "mlflow": 10, "bentoml": 20}
LUA: Final = """
local file = io.open(os.getenv("BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
for name, value in string.gmatch(os.getenv("HEAD"), "([^:|]+): ([^|]+)") do wrk.headers[name] = value end
"""


@dataclass(slots=True)
class Server:
    """A server that runs.

    Attributes:
        name: What it is called.
        process: Its first process.
        url: Where it is asked.
        body: File with what it is asked.
        rates: Answers a second, by round.
        cpu: CPU seconds of all its processes for each answer, by round.
    """

    name: str
    process: subprocess.Popen[bytes]
    url: str
    body: Path
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds that a process and all below it have used."""
    below: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            facts = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        below.setdefault(int(facts[1]), []).append(int(folder.name))
        used[int(folder.name)] = (int(facts[11]) + int(facts[12])) / TICKS
    found, left = 0.0, [root]
    while left:
        one = left.pop()
        found += used.get(one, 0.0)
        left += below.get(one, [])
    return found


def load(url: str, body: Path, connections: int, seconds: float, head: str = "Content-Type: application/json") -> float:
    """Put as much load on a server as it takes; returns its answers a second.

    Raises:
        RuntimeError: An answer was no 200.
    """
    if shutil.which("wrk") is None:
        command = [sys.executable, "-m", "benchmarks.serving_load", url, str(body), "--connections", str(connections)]
        done = subprocess.run([*command, "--seconds", str(seconds), "--head", head], capture_output=True, check=True)
        told = json.loads(done.stdout)
        if set(told["statuses"]) != {"200"}:
            raise RuntimeError(f"{url} answered {told['statuses']}")
        return float(told["per_second"])
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", script.name, url]
        environment = {**os.environ, "BODY": str(body), "HEAD": head}
        told = subprocess.run(wrk, env=environment, capture_output=True, check=True, text=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"{url} failed under load: {told}")
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])


def open_load(url: str, body: Path, rate: float, seconds: float, connections: int, head: str) -> dict[str, Any]:
    """Send so many requests a second whatever the server does; returns what `benchmarks.serving_load` prints."""
    command = [sys.executable, "-m", "benchmarks.serving_load", url, str(body), "--rate", str(rate), "--head", head]
    more = ["--seconds", str(seconds), "--connections", str(connections)]
    return dict(json.loads(subprocess.run([*command, *more], capture_output=True, check=True).stdout))


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own, and end all of it."""
    with log.open("wb") as told:
        process = subprocess.Popen(command, env=dict(environment), stdout=told, stderr=told, start_new_session=True)
        try:
            yield process
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                if process.poll() is None:
                    os.killpg(process.pid, number)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(8)


def ask(url: str, body: bytes, head: Mapping[str, str]) -> tuple[int, bytes]:
    """Ask once; status 0 is no answer at all."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(head)), timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
    except (URLError, OSError):
        return 0, b""


def wait_for(url: str, body: Path, head: Mapping[str, str], log: Path) -> None:
    """Wait until a server answers what it will be asked.

    Raises:
        RuntimeError: It does not.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if ask(url, body.read_bytes(), head)[0] == 200:
            return
        time.sleep(0.3)
    raise RuntimeError(f"{url} does not answer: {log.read_text(errors='replace')[-2000:]}")


JSON_HEAD: Final = {"Content-Type": "application/json"}


def ours(root: Path, port: int, **more: str) -> dict[str, str]:
    """Return the environment of our server, with everything that it writes in one folder."""
    given = {
        "SERVER__PORT": str(port),
        "REGISTRY__BUNDLES_PATH": str(root / "bundles"),
        "PREDICTIONS__URL": f"sqlite:///{root}/predictions-{port}.db",
        "PREDICTIONS__SPOOL_PATH": str(root / f"spool-{port}"),
        "CAPTURE__PATH": str(root / f"captures-{port}"),
        "DATABASE__URL": f"sqlite:///{root}/platform-{port}.db",
        "JOBS__SPOOL_PATH": str(root / f"jobs-{port}"),
        # All load is one client's: the limit stays on, where it does not bite.
        "LIMITS__CLIENT_REQUESTS": "1000000000",
        "LOGGING__LEVEL": "WARNING" if more.pop("quiet", "") else "INFO",
    } | more
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")}
    return kept | {"OMP_NUM_THREADS": "1"} | {f"MASKER_{name}": value for name, value in given.items()}


def bodies(root: Path) -> dict[str, Path]:
    """Write what the servers of the small network are asked: one row, in the words of each."""
    row = [round(float(value), 4) for value in np.random.default_rng(0).random(64)]
    tensor = {"name": "features", "shape": [1, 64], "datatype": "FP32", "data": row}
    told = {"infer": {"inputs": [tensor]}, "predict": {"features": [row]}, "inputs": {"inputs": [row]}}
    for name, body in told.items():
        (root / f"{name}.json").write_text(json.dumps(body), encoding="utf-8")
    return {name: root / f"{name}.json" for name in told}


def mlp(root: Path, seconds: float, names: list[str]) -> Mapping[str, Server]:
    """Print answers a second and CPU of every server of the small network, and return the servers' figures."""
    asked, servers = bodies(root), {}
    graph = current(root / "bundles", "demo")
    if graph is None:
        raise RuntimeError("the demo model is not there")
    with ExitStack() as stack:
        for place, name in enumerate(["ours", "ours, bare", *names]):
            port, log = FIRST_PORT + 10 * place, root / f"{name}.log"
            folder = root / name.replace(", ", "-")
            folder.mkdir()
            if name in PEERS:
                peer = PEERS[name]
                peer.install()
                command, environment = peer.prepare(folder, graph.graphs["fp32"], port), peer.environment()
                path, body = peer.path, asked[peer.kind]
            else:
                command = [sys.executable, "-m", "benchmarks.serving_ours", *(["--bare"] if "bare" in name else [])]
                environment, path, body = ours(root, port), "/v2/models/demo/infer", asked["infer"]
            process = stack.enter_context(running(_found(command, environment), environment, log))
            servers[name] = Server(name, process, f"http://127.0.0.1:{port}{path}", body)
            wait_for(servers[name].url, body, JSON_HEAD, log)
            load(servers[name].url, body, CONNECTIONS, WARM_SECONDS)
        for _ in range(ROUNDS):
            for server in servers.values():
                before = cpu_seconds(server.process.pid)
                rate = load(server.url, server.body, CONNECTIONS, seconds)
                server.rates.append(rate)
                server.cpu.append((cpu_seconds(server.process.pid) - before) / (rate * seconds))
    _print_mlp(servers)
    return servers


def _found(command: list[str], environment: Mapping[str, str]) -> list[str]:
    found = shutil.which(command[0], path=environment["PATH"])
    return [found or command[0], *command[1:]]


def _print_mlp(servers: Mapping[str, Server]) -> None:
    print(f"small network 64-256-256-10, JSON, {CONNECTIONS} connections, median of {ROUNDS} rounds")
    mine = servers["ours"]
    for server in servers.values():
        rate, cpu = statistics.median(server.rates), statistics.median(server.cpu)
        by_round = [a / b for a, b in zip(mine.rates, server.rates, strict=True)]
        goal = f"  (wanted {GOALS[server.name]}x)" if server.name in GOALS else ""
        print(
            f"  {server.name:11} {rate:9.0f}/s  {cpu * 1e6:7.0f} us CPU  "
            f"ours is {statistics.median(by_round):6.2f}x as many{goal}"
        )


def cpu(root: Path, mine: Server | None) -> None:
    """Print what a request costs in CPU against the same run of onnxruntime in a loop."""
    bundle = current(root / "bundles", "demo")
    if bundle is None or mine is None:
        return
    session = open_session(bundle.graphs["fp32"])
    row = {"features": np.random.default_rng(0).random((1, 64), np.float32)}

    def raw(count: int = 2000) -> float:
        start = time.process_time()
        for _ in range(count):
            session.run(None, row)
        return (time.process_time() - start) / count

    raw()
    least = statistics.median(raw() for _ in range(5))
    spent = statistics.median(mine.cpu)
    print(
        f"CPU of a request: {spent * 1e6:.0f} us; of onnxruntime alone in a loop: {least * 1e6:.1f} us: "
        f"{spent / least:.2f}x (wanted <= 2.5x)"
    )


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
