"""What `make run` does, on a copy of the project with small parameters: the real pipeline, MLflow, DVC and server."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml

from tests.patience import PATIENCE_SECONDS, until
from tests.services.places import UNHURRIED

ROOT = Path(__file__).resolve().parents[2]
# What the Makefile switches off must be off without it, too.
SWITCHES = ("MASKER_", "MLFLOW_", "DVC_", "GX_", "DO_NOT_TRACK", "ITERATIVE_")
COPIED = (
    "masking",
    "mlops",
    "models",
    "pipelines",
    "services",
    "configs",
    ".dvc",
    "dvc.yaml",
    "params.yaml",
    ".dvcignore",
)
SMALL = {
    "ingest": {"identities": 12, "captures": 4, "scenes": 12, "test_share": 0.5, "crop_px": 96},
    "validation": {"min_identities_per_split": 2, "min_scenes": 2},
    "train": {"calibration_images": 4, "least_images": 2},
    "evaluate": {"people": 4, "trials": 2, "judge_floor": 0.2},
    "voice_ingest": {"speakers": 6, "utterances": 2, "words": 2, "espeak": False},
    "voice_validation": {"min_speakers_per_split": 2},
    "voice_evaluate": {"word_speakers": 2, "compared": 2},
}
# Every Python process of a run loads this before anything else, and tells of each look at the network.
WATCH = """
import os, sys
def hook(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        target = arguments[1][0]
    elif event == "socket.getaddrinfo":
        target = arguments[0]
    else:
        return
    if str(target) not in ("127.0.0.1", "localhost", "::1", "None"):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{event} {target} {sys.argv}\\n")
sys.addaudithook(hook)
"""
LONG_SECONDS = 10 * PATIENCE_SECONDS
"""What takes a minute on a machine that has nothing else to do: a training, a video."""
GATE = [{"metric": "detection.int8.recall", "at_least": 0.3}, {"metric": "detection.recall_drop", "at_most": 0.2}]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    leave = shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copyfile(ROOT / name, folder / name)
    for name in ("photos", "voices", "base"):
        (folder / "data" / name).mkdir(parents=True)
    for graph in ("centerface.onnx", "silero_vad.onnx"):
        shutil.copyfile(ROOT / "data/base" / graph, folder / "data/base" / graph)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, values in SMALL.items():
        params[section] |= values
    params["register"]["gate"] = GATE
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


class Running:
    """`services.standalone` as a child, and the port that it serves on."""

    def __init__(self, folder: Path, log: Path, *arguments: str) -> None:
        # Held all the while, or somebody else may be given it before the training is over and it serves.
        self.held = socket.socket()
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(("127.0.0.1", 0))
        self.port = self.held.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SWITCHES)}
        # A few photos are to do: no look of the judge at what was captured is waited for, and how long each of the few
        # took is the machine's affair.
        environment |= {"MASKER_SERVER__PORT": str(self.port), "MASKER_CAPTURE__SHARE": "0"}
        environment |= {"MASKER_ROLLOUT__GUARD_LATENCY_RATIO": "1000"}
        environment |= {f"MASKER_{name.upper()}": str(value) for name, value in UNHURRIED.items()}
        # Some packages send telemetry by default, and not where CI is set.
        environment.pop("CI", None)
        watch = log.with_suffix(".watch")
        watch.mkdir()
        (watch / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
        self.network = log.with_suffix(".network")
        environment |= {"PYTHONPATH": str(watch), "NETWORK_LOG": str(self.network)}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.standalone", *arguments],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, named)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read(), {k.lower(): v for k, v in answer.headers.items()}
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), {}
        except OSError:
            return 0, b"", {}

    def wait_for(self, version: str) -> dict[str, str]:
        end = time.monotonic() + LONG_SECONDS
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            status, body, _ = self.get("/readyz")
            if status == 200 and json.loads(body)["version"] == version:
                return dict(json.loads(body))
            time.sleep(0.2)
        raise AssertionError(f"version {version} does not serve:\n{self.log.read_text(encoding='utf-8')}")

    def release(self, path: str, **wanted: object) -> dict[str, object]:
        data = json.dumps(wanted).encode() if wanted else None
        status, body, _ = self.get(f"/v1/releases{path}", data, Content_Type="application/json", X_Actor="ada")
        assert status in (200, 202), body
        return dict(json.loads(body))

    def released(self, identity: object, photo: bytes) -> dict[str, object]:
        """Have photos masked for one subject after the other until the release has ended; each anew, or none counts."""
        end = time.monotonic() + LONG_SECONDS
        subject = 0
        while (told := self.release(f"/{identity}"))["phase"] not in ("succeeded", "rolled_back", "failed", "aborted"):
            assert time.monotonic() < end, told
            named = {"X_Subject_Id": f"subject-{subject}", "Cache_Control": "no-store"}
            status, _, headers = self.get("/v1/mask/image", photo, **named)
            assert (status, headers["x-model-version"] in "12") == (200, True)
            subject += 1
        return told

    def ended(self, location: str) -> dict[str, object]:
        end = time.monotonic() + LONG_SECONDS
        while (job := json.loads(self.get(location)[1]))["state"] in ("queued", "running"):
            assert time.monotonic() < end, job
            time.sleep(0.2)
        return dict(job)


def clip(photo: bytes, frames: int) -> bytes:
    """An MP4 in which the face of a photo drifts."""
    face = cv2.resize(cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR), (200, 240))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
        for index in range(frames):
            picture = np.full((270, 480, 3), 80, np.uint8)
            left = index % 250
            picture[15:255, left : left + 200] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return file.getvalue()


@contextmanager
def running(folder: Path, log: Path, *arguments: str) -> Iterator[Running]:
    standalone = Running(folder, log, *arguments)
    try:
        yield standalone
    finally:
        standalone.process.kill()
        standalone.process.wait()
        standalone.held.close()


def left_in(folder: Path) -> list[str]:
    """Processes that work in the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder and (entry / "cmdline").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def ends_whole(standalone: Running, folder: Path, number: signal.Signals) -> None:
    """All of it is gone soon after a signal: within 10 s on a machine that has nothing else to do."""
    standalone.process.send_signal(number)
    standalone.process.wait(PATIENCE_SECONDS)
    until(lambda: left_in(folder) == [], 0.1)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="processes are looked up in /proc")
def test_a_signal_ends_the_stage_that_runs(project: Path, tmp_path: Path) -> None:
    with running(project, tmp_path / "log", "--repro") as standalone:
        # Whichever stage: each alone may be over before it is seen, all of them together are not.
        until(lambda: any("-m pipelines." in command for command in left_in(project)), 0.1)
        assert "Running stage '" in standalone.log.read_text(encoding="utf-8")
        ends_whole(standalone, project, signal.SIGTERM)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="processes are looked up in /proc")
def test_from_nothing_to_a_masked_photo_and_another_champion(project: Path, tmp_path: Path, hopper: bytes) -> None:
    with running(project, tmp_path / "first", "--repro") as standalone:
        ready = standalone.wait_for("1")
        assert ready["precision"] in ("int8", "fp32")
        status, masked, headers = standalone.get("/v1/mask/image", hopper)
        assert (status, headers["x-faces-masked"], headers["x-model-version"]) == (200, "1", "1")
        assert json.loads(headers["x-mask-report"])["precision"] == ready["precision"]
        assert masked[:3] == b"\xff\xd8\xff"
        assert standalone.get("/v1/mask/image", hopper)[2]["x-cache"] == "hit-memory"
        status, body, _ = standalone.get("/v1/models/face-detector")
        (version,) = json.loads(body)["versions"]
        assert version["aliases"] == ["champion"]
        assert float(version["tags"]["detection.int8.recall"]) > 0.3
        # A second version of the same bundle is challenger; made champion, it serves without a restart.
        registered = (project / "data/registered.json").read_bytes()
        python = [sys.executable, "-m", "pipelines.register"]
        subprocess.run(python, cwd=project, check=True, capture_output=True)
        (project / "data/registered.json").write_bytes(registered)
        found = json.loads(standalone.get("/v1/models/face-detector")[1])["versions"]
        assert {each["version"]: each["aliases"] for each in found} == {"2": ["challenger"], "1": ["champion"]}
        for number in ("2", "1"):
            moved = [sys.executable, "-m", "services.worker", "--promote", number]
            subprocess.run(moved, cwd=project, check=True, capture_output=True)
            standalone.wait_for(number)
        # The second version is released by steps, by what people and figures say, and taken back again.
        steps = [{"weight": 0.5, "seconds": 0.5, "minimum": 5}]
        asked = standalone.release("", endpoint="faces", version="2", reason="a test", steps=steps)
        done = standalone.released(asked["id"], hopper)
        assert done["phase"] == "succeeded", done
        standalone.wait_for("2")
        standalone.release(f"/{asked['id']}/rollback", reason="a test")
        assert standalone.released(asked["id"], hopper)["phase"] == "rolled_back"
        standalone.wait_for("1")
        # Six procedural speakers beat nothing: the voice model that ships is champion, and installed.
        status, body, _ = standalone.get("/v1/models/voice-masker")
        (voice,) = json.loads(body)["versions"]
        assert (voice["aliases"], voice["tags"]["origin"]) == (["champion"], "base")
        pointer = json.loads((project / "var/bundles/voice-masker/champion.json").read_text(encoding="utf-8"))
        assert pointer["version"] == "1"
        assert "what was trained is not registered" in standalone.log.read_text(encoding="utf-8")
        status, _, headers = standalone.get("/v1/mask/video", clip(hopper, 20))
        assert status == 202
        job = standalone.ended(headers["location"])
        assert (job["state"] in ("succeeded", "needs_review"), job["attempts"]) == (True, 1), job
        status, _, headers = standalone.get(str(job["result"]))
        assert (status, headers["content-type"]) == (200, "video/mp4")
        status, _, headers = standalone.get("/v1/mask/video", clip(hopper, 1000))
        interrupted = headers["location"]
        until(lambda: json.loads(standalone.get(interrupted)[1])["state"] == "running", 0.1)
        ends_whole(standalone, project, signal.SIGINT)
        assert not standalone.network.exists(), standalone.network.read_text(encoding="utf-8")

    with running(project, tmp_path / "second", "--repro") as standalone:
        standalone.wait_for("1")
        log = (tmp_path / "second").read_text(encoding="utf-8")
        assert "up to date" in log
        assert "bundle pulled" not in log, "the registry did not change, so nobody opens it"
        job = standalone.ended(interrupted)
        assert (job["state"] in ("succeeded", "needs_review"), job["attempts"]) == (True, 2), job
        assert "started again" in str(job["note"])
        ends_whole(standalone, project, signal.SIGTERM)


def test_a_gate_that_closes_registers_nothing_and_says_why(project: Path, tmp_path: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["register"]["gate"] = [{"metric": "detection.int8.recall", "at_least": 1.01}]
    folder = Path(shutil.copytree(project, tmp_path / "strict", symlinks=True))
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with running(folder, tmp_path / "log", "--repro") as standalone:
        assert standalone.process.wait(LONG_SECONDS) != 0
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "nothing was registered: detection.int8.recall is" in log
    assert "at least 1.01 is required" in log


def test_a_port_that_is_taken_is_told_before_anything_is_trained(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {**os.environ, "MASKER_SERVER__PORT": str(taken.getsockname()[1])}
        command = [sys.executable, "-m", "services.standalone", "--repro"]
        ended = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
    assert ended.returncode == 1
    assert "MASKER_SERVER__PORT" in ended.stderr
    assert "Running stage" not in ended.stdout
