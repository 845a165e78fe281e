"""Sound masked by the work that a real worker does, and what becomes of it when that is cut short."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from masking.voice.policy import VoicePolicy
from mlops.jobs.spool import Spool, new_identity
from mlops.jobs.store import JobStore
from mlops.jobs.table import Job
from mlops.registry.bundle import install, open_bundle
from mlops.settings import Settings, load_settings
from services.worker.kinds import MASK_AUDIO, kinds
from services.worker.loop import do_jobs
from services.worker.runner import Runner

ROOT = Path(__file__).resolve().parents[3]
RATE = 16000
# What `python -m services.worker.jobs` does, and says when it begins.
WORKER = """
import threading
from mlops.settings import load_settings
from services.worker.kinds import kinds
from services.worker.loop import do_jobs

settings = load_settings()
print("ready", flush=True)
do_jobs(settings, threading.Event(), kinds(settings))
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        "MASKER_JOBS__SPOOL_PATH": str(tmp_path / "jobs"),
        "MASKER_JOBS__RESERVE_BYTES": "0",
        "MASKER_JOBS__LEASE_SECONDS": "2",
        "MASKER_JOBS__SWEEP_SECONDS": "0.2",
        "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return load_settings(environ=environ)


@pytest.fixture
def champion(settings: Settings, voice_bundle: Path) -> None:
    """A voice champion, and none for faces: sound needs no model of those."""
    digest = open_bundle(voice_bundle, "4").digest
    install(voice_bundle, settings.registry.bundles_path, settings.registry.voice_model, "4", digest)


@pytest.fixture
def store(settings: Settings, make_store: Callable[[Settings], JobStore]) -> JobStore:
    return make_store(settings)


@pytest.fixture
def spool(settings: Settings) -> Spool:
    return Spool(settings.jobs.spool_path, 0)


@pytest.fixture
def make_talk(talk: np.ndarray) -> Callable[[float], bytes]:
    """A WAV of so many seconds of the talk."""

    def make(seconds: float) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setparams((1, 2, RATE, 0, "NONE", ""))
            written.writeframes((np.resize(talk, int(seconds * RATE)) * 32767).astype("<i2").tobytes())
        return file.getvalue()

    return make


def add(store: JobStore, spool: Spool, data: bytes, policy: VoicePolicy | None = None) -> str:
    identity = new_identity()
    spool.make(identity).write_bytes(data)
    store.add(identity, MASK_AUDIO, (policy or VoicePolicy()).facts())
    return identity


def job_of(store: JobStore, identity: str) -> Job:
    job = store.get(identity)
    assert job is not None
    return job


def files(spool: Spool, identity: str) -> list[str]:
    folder = spool.folder(identity)
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def until(store: JobStore, identity: str, state: str, seconds: float = 60) -> Job:
    end = time.monotonic() + seconds
    while job_of(store, identity).state != state:
        assert time.monotonic() < end, job_of(store, identity)
        time.sleep(0.02)
    return job_of(store, identity)


def samples_of(data: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(data)) as read:
        return np.frombuffer(read.readframes(read.getnframes()), "<i2").astype(float)


@pytest.mark.usefixtures("champion")
def test_a_sound_is_masked(
    settings: Settings, store: JobStore, spool: Spool, make_talk: Callable[[float], bytes]
) -> None:
    data = make_talk(5)
    identity = add(store, spool, data, VoicePolicy("one-voice", "keep", consistent=True))
    Runner(kinds(settings), store, spool, threading.Event(), 60).run(identity)
    job = job_of(store, identity)
    assert (job.state, job.media_type, job.progress) == ("succeeded", "audio/wav", 1.0), job.error
    report = dict(job.report or {})
    assert (report["model"], report["model_version"], report["style"]) == ("voice-masker", "4", "one-voice")
    assert (report["background"], report["consistent"], report["seconds"]) == ("keep", True, 5.0)
    assert report["speech_seconds"] > 0
    assert files(spool, identity) == [job.result]
    before, after = samples_of(data), samples_of((spool.folder(identity) / str(job.result)).read_bytes())
    assert len(after) == len(before)
    assert np.abs(after).max() > 0
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.5


def test_without_a_voice_champion_a_job_fails_and_leaves_no_media(
    settings: Settings, store: JobStore, spool: Spool, make_talk: Callable[[float], bytes]
) -> None:
    identity = add(store, spool, make_talk(1))
    Runner(kinds(settings), store, spool, threading.Event(), 60).run(identity)
    job = job_of(store, identity)
    assert (job.state, job.error is not None and job.error["type"].split(":")[-1]) == ("failed", "model-failed")
    assert files(spool, identity) == []


@pytest.mark.usefixtures("champion")
@pytest.mark.parametrize("data", [b"only words " * 100, b"RIFF\x24\x00\x00\x00WAVE"])
def test_what_is_no_sound_fails_and_leaves_no_media(
    settings: Settings, store: JobStore, spool: Spool, data: bytes
) -> None:
    identity = add(store, spool, data)
    Runner(kinds(settings), store, spool, threading.Event(), 60).run(identity)
    assert job_of(store, identity).state == "failed"
    assert files(spool, identity) == []


@pytest.fixture
def killed(
    environ: dict[str, str], store: JobStore, spool: Spool, champion: None, make_talk: Callable[[float], bytes]
) -> str:
    """A job whose worker was killed in the middle of it."""
    identity = add(store, spool, make_talk(90))
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        until(store, identity, "running")
        time.sleep(0.5)
        child.send_signal(signal.SIGKILL)
    assert job_of(store, identity).state == "running", "nobody knows yet"
    return identity


def test_a_job_survives_a_worker_that_is_killed(settings: Settings, store: JobStore, spool: Spool, killed: str) -> None:
    stopping = threading.Event()
    thread = threading.Thread(target=do_jobs, args=(settings, stopping, kinds(settings)))
    thread.start()
    try:
        job = until(store, killed, "succeeded")
    finally:
        stopping.set()
        thread.join(20)
    assert (job.attempts, "lost" in str(job.note)) == (2, True)
    assert files(spool, killed) == ["result-2"]
    assert len(samples_of((spool.folder(killed) / "result-2").read_bytes())) == 90 * RATE


def test_a_job_that_is_cancelled_ends_soon_and_leaves_no_media(
    settings: Settings, store: JobStore, spool: Spool, champion: None, make_talk: Callable[[float], bytes]
) -> None:
    identity = add(store, spool, make_talk(600))
    runner = Runner(kinds(settings), store, spool, threading.Event(), 60)
    thread = threading.Thread(target=runner.run, args=(identity,))
    thread.start()
    end = time.monotonic() + 20
    while not 0 < job_of(store, identity).progress < 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    store.cancel(identity)
    thread.join(10)
    assert not thread.is_alive()
    assert job_of(store, identity).state == "cancelled"
    assert files(spool, identity) == []
