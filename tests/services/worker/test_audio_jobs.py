"""Sound masked by the work that a real worker does, and what becomes of it when that is cut short."""

import io
import os
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from masking.voice.policy import VoicePolicy
from mlops.folders import entries
from mlops.jobs.spool import Spool, new_identity
from mlops.jobs.store import JobStore
from mlops.jobs.table import JOBS, Job
from mlops.registry.bundle import install, open_bundle
from mlops.settings import Settings, load_settings
from services.worker.kinds import MASK_AUDIO, kinds
from services.worker.loop import do_jobs
from services.worker.runner import Runner
from tests.patience import PATIENCE_SECONDS, until

RATE = 16000
SECONDS = 90
# What `python -m services.worker.jobs` does, until it has done a part of a job: then it is killed.
WORKER = """
import os, signal, threading
from dataclasses import replace
from mlops.settings import load_settings
from services.worker.kinds import MASK_AUDIO, kinds
from services.worker.loop import do_jobs

class Killing:
    def __init__(self, observer):
        self.observer = observer

    def __getattr__(self, name):
        return getattr(self.observer, name)

    def progress(self, done, total):
        self.observer.progress(done, total)
        if done:
            os.kill(os.getpid(), signal.SIGKILL)

settings = load_settings()
work = kinds(settings)[MASK_AUDIO]
do_jobs(settings, threading.Event(), {MASK_AUDIO: lambda task: work(replace(task, observer=Killing(task.observer)))})
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        "MASKER_JOBS__SPOOL_PATH": str(tmp_path / "jobs"),
        "MASKER_JOBS__RESERVE_BYTES": "0",
        "MASKER_JOBS__LEASE_SECONDS": str(PATIENCE_SECONDS),
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
    return [file.name for file in entries(spool.folder(identity))]


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
    identity = add(store, spool, make_talk(SECONDS))
    ended = subprocess.run([sys.executable, "-c", WORKER], env=os.environ | environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert job_of(store, identity).state == "running", "nobody knows yet"
    # Time passes, and nothing is heard of it.
    with store.database.transaction() as connection:
        connection.execute(sa.update(JOBS).values(beaten=JOBS.c.beaten - 2 * PATIENCE_SECONDS))
    return identity


def test_a_job_survives_a_worker_that_is_killed(settings: Settings, store: JobStore, spool: Spool, killed: str) -> None:
    stopping = threading.Event()
    thread = threading.Thread(target=do_jobs, args=(settings, stopping, kinds(settings)))
    thread.start()
    try:
        until(lambda: job_of(store, killed).state == "succeeded", 0.05)
    finally:
        stopping.set()
        thread.join(PATIENCE_SECONDS)
    job = job_of(store, killed)
    assert (job.attempts, "lost" in str(job.note)) == (2, True)
    assert files(spool, killed) == ["result-2"]
    assert len(samples_of((spool.folder(killed) / "result-2").read_bytes())) == SECONDS * RATE


def test_a_job_that_is_cancelled_ends_soon_and_leaves_no_media(
    settings: Settings, store: JobStore, spool: Spool, champion: None, make_talk: Callable[[float], bytes]
) -> None:
    identity = add(store, spool, make_talk(600))
    runner = Runner(kinds(settings), store, spool, threading.Event(), 60)
    thread = threading.Thread(target=runner.run, args=(identity,))
    thread.start()
    until(lambda: 0 < job_of(store, identity).progress < 1)
    store.cancel(identity)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert job_of(store, identity).state == "cancelled"
    assert files(spool, identity) == []
