"""Servers for `benchmarks.serving`: started, asked, put under load, and ended, with what they take of the processor."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError

ROUNDS: Final = 3
WARM_SECONDS: Final = 1.0
START_SECONDS: Final = 90.0
TICKS: Final = os.sysconf("SC_CLK_TCK")
FIRST_PORT: Final = 8650
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
