"""A small network behind our server, behind others, and behind none: answers a second, and what each takes."""

import json
import re
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from benchmarks.serving_peers import PEERS
from benchmarks.serving_server import (
    FIRST_PORT,
    JSON_HEAD,
    ROUNDS,
    WARM_SECONDS,
    Server,
    cpu_seconds,
    load,
    ours,
    running,
    wait_for,
)
from masking.onnx import open_session
from mlops.registry.bundle import current

CONNECTIONS: Final = 32
MIDDLEWARE: Final = "captures,metrics,routing,limits,log"
OURS: Final = {"ours": "", "ours, no middleware": MIDDLEWARE, "ours, bare": f"{MIDDLEWARE},rows"}
"""Our servers, and what each is without."""
FLOOR: Final = "floor"
SETTLE_SECONDS: Final = 1.0
"""What is done behind answers, such as writing their rows, is done by then."""
GOALS: Final = {"fastapi": 5, "mlserver": 15, "mlflow": 10, "bentoml": 20}


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
    asked, servers = bodies(root), dict[str, Server]()
    graph = current(root / "bundles", "demo")
    if graph is None:
        raise RuntimeError("the demo model is not there")
    with ExitStack() as stack:
        for place, name in enumerate([*OURS, FLOOR, *names]):
            port, log = FIRST_PORT + 10 * place, root / f"{name}.log"
            folder = root / name.replace(", ", "-")
            folder.mkdir()
            if name == FLOOR:
                (folder / "answer").write_bytes(whole_answer(servers["ours"]))
                command = [sys.executable, "-m", "benchmarks.serving_floor", str(port), str(folder / "answer")]
                environment, path, body = ours(root, port), "/v2/models/demo/infer", asked["infer"]
            elif name in PEERS:
                peer = PEERS[name]
                peer.install()
                command, environment = peer.prepare(folder, graph.graphs["fp32"], port), dict(peer.environment())
                path, body = peer.path, asked[peer.kind]
            else:
                command = [sys.executable, "-m", "benchmarks.serving_ours", "--without", OURS[name]]
                environment, path, body = ours(root, port), "/v2/models/demo/infer", asked["infer"]
            process = stack.enter_context(running(_found(command, environment), environment, log))
            servers[name] = Server(name, process, f"http://127.0.0.1:{port}{path}", body)
            wait_for(servers[name].url, body, JSON_HEAD, log)
            if process.poll() is not None:
                raise RuntimeError(f"{name} has ended, and something else answers on its port {port}")
            load(servers[name].url, body, CONNECTIONS, WARM_SECONDS)
        for _ in range(ROUNDS):
            for server in servers.values():
                before = cpu_seconds(server.process.pid)
                rate = load(server.url, server.body, CONNECTIONS, seconds)
                time.sleep(SETTLE_SECONDS)
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
    spent = {name: statistics.median(server.cpu) for name, server in servers.items()}
    for server in servers.values():
        rate, cpu = statistics.median(server.rates), spent[server.name]
        by_round = [a / b for a, b in zip(mine.rates, server.rates, strict=True)]
        goal = f"  (wanted {GOALS[server.name]}x)" if server.name in GOALS else ""
        print(
            f"  {server.name:19} {rate:9.0f}/s  {cpu * 1e6:7.0f} us CPU  "
            f"ours is {statistics.median(by_round):6.2f}x as many{goal}"
        )
    all_of_it, bare, row = spent["ours"], spent["ours, bare"], spent["ours, no middleware"]
    print(
        f"CPU of a request by part: kernel and HTTP {spent[FLOOR] * 1e6:.1f} us, model and JSON and the rest of the "
        f"way {(bare - spent[FLOOR]) * 1e6:.1f} us, its row in the database {(row - bare) * 1e6:.1f} us, middleware "
        f"({MIDDLEWARE.replace(',', ', ')}) {(all_of_it - row) * 1e6:.1f} us (wanted <= 10 us)"
    )


def whole_answer(server: Server) -> bytes:
    """Return an answer of a server as it comes, head and all."""
    parts, body = urlsplit(server.url), server.body.read_bytes()
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((str(parts.hostname), parts.port or 80), timeout=10) as line:
        line.sendall(head.encode() + body)
        answer = b""
        while (ended := answer.find(b"\r\n\r\n")) < 0 or len(answer) < ended + 4 + _length(answer[:ended]):
            answer += line.recv(65536)
    return answer


def _length(head: bytes) -> int:
    return int(re.findall(rb"content-length: (\d+)", head)[0])


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
