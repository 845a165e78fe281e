"""Videos masked by the work that a real worker does, with the bundle that the pipeline makes."""

import io
import threading
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from masking.errors import ModelError, PolicyError
from masking.face.loading import load_model
from masking.policy import VideoPolicy
from masking.voice.policy import VoicePolicy
from mlops.jobs.spool import Spool, new_identity
from mlops.jobs.store import JobStore
from mlops.jobs.table import Job
from mlops.registry.bundle import install, open_bundle
from mlops.settings import Settings, load_settings
from services.worker.champion import Champion
from services.worker.kinds import MASK_VIDEO, kinds, policy_of
from services.worker.runner import Runner

FRAMES = 12


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
            "MASKER_JOBS__SPOOL_PATH": str(tmp_path / "jobs"),
            "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
        }
    )


@pytest.fixture
def champion(settings: Settings, trained: Path, logged_digest: str) -> None:
    install(trained, settings.registry.bundles_path, settings.registry.model, "1", logged_digest)


@pytest.fixture
def video(photo_pixels: NDArray[np.uint8]) -> bytes:
    """A face that moves."""
    face = cv2.resize(photo_pixels, (160, 192))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(FRAMES):
            pixels = np.full((240, 320, 3), 90, np.uint8)
            pixels[20:212, 20 + 4 * index : 180 + 4 * index] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture
def talking(video: bytes, talk: NDArray[np.float32]) -> bytes:
    """The same with somebody who talks."""
    file = io.BytesIO()
    with av.open(io.BytesIO(video)) as source, av.open(file, "w", format="mp4") as container:
        pictures = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(talk[None, : 16000 * FRAMES // 25], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return file.getvalue()


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def done(
    settings: Settings,
    make_store: Callable[[Settings], JobStore],
    video: bytes,
    style: str = "solid",
    sound: str = "drop",
) -> tuple[Job, Path]:
    store = make_store(settings)
    spool = Spool(settings.jobs.spool_path, 0)
    identity = new_identity()
    spool.make(identity).write_bytes(video)
    store.add(identity, MASK_VIDEO, VideoPolicy(style, sound=sound).facts())
    Runner(kinds(settings), store, spool, threading.Event(), 60).run(identity)
    job = store.get(identity)
    assert job is not None
    return job, spool.folder(identity)


@pytest.mark.usefixtures("champion")
def test_a_video_is_masked(settings: Settings, make_store: Callable[[Settings], JobStore], video: bytes) -> None:
    job, folder = done(settings, make_store, video)
    assert job.state in {"succeeded", "needs_review"}, job.error
    assert (job.media_type, job.progress) == ("video/mp4", 1.0)
    assert (job.report["frames"], job.report["model_version"]) == (FRAMES, "1")
    assert job.report["faces"] >= 1
    frames = decoded(folder / job.result)
    assert len(frames) == FRAMES
    for index, frame in enumerate(frames):
        centre = frame[80:110, 20 + 4 * index + 65 : 20 + 4 * index + 95]
        assert centre.max() < 40, "the face is black in every frame"
    assert [file.name for file in folder.iterdir()] == [job.result]


@pytest.mark.usefixtures("champion")
def test_averages_cover_a_video_where_the_champion_has_them(
    settings: Settings, make_store: Callable[[Settings], JobStore], video: bytes, trained_with_averages: Path
) -> None:
    job, _ = done(settings, make_store, video, "averages")
    assert (job.state, job.error["type"].endswith(":bad-policy")) == ("failed", True)
    root, name = settings.registry.bundles_path, settings.registry.model
    install(trained_with_averages, root, name, "2", open_bundle(trained_with_averages, "2").digest)
    job, folder = done(settings, make_store, video, "averages")
    assert job.state in {"succeeded", "needs_review"}, job.error
    red, green, blue = decoded(folder / job.result)[0][80:110, 85:115].reshape(-1, 3).mean(axis=0)
    assert green > max(red, blue) + 40


@pytest.mark.usefixtures("champion")
def test_voices_are_masked_where_there_is_a_model_of_them(
    settings: Settings, make_store: Callable[[Settings], JobStore], talking: bytes, voice_bundle: Path
) -> None:
    job, folder = done(settings, make_store, talking, sound="mask")
    assert (job.state, job.error["type"].split(":")[-1]) == ("failed", "model-failed")
    assert not folder.exists()
    root, name = settings.registry.bundles_path, settings.registry.voice_model
    install(voice_bundle, root, name, "3", open_bundle(voice_bundle, "3").digest)
    job, folder = done(settings, make_store, talking, sound="mask")
    assert job.state in {"succeeded", "needs_review"}, job.error
    assert (job.report["voice"]["style"], job.report["voice"]["model_version"]) == ("strong", "3")
    with av.open(str(folder / job.result)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


def test_without_a_champion_a_job_fails(
    settings: Settings, make_store: Callable[[Settings], JobStore], video: bytes
) -> None:
    job, folder = done(settings, make_store, video)
    assert job.state == "failed"
    assert job.error["type"].endswith(":model-failed")
    assert not folder.exists()


@pytest.mark.usefixtures("champion")
def test_a_champion_is_loaded_once_and_another_when_it_changes(
    settings: Settings, trained: Path, logged_digest: str
) -> None:
    champion = Champion(settings.registry.bundles_path, settings.registry.model, load_model)
    first = champion.model()
    assert champion.model() is first
    install(trained, settings.registry.bundles_path, settings.registry.model, "2", logged_digest)
    assert (first.version, champion.model().version) == ("1", "2")


def test_a_damaged_pointer_is_the_models_fault(settings: Settings) -> None:
    folder = settings.registry.bundles_path / settings.registry.model
    folder.mkdir(parents=True)
    (folder / "champion.json").write_text("nonsense")
    with pytest.raises(ModelError):
        Champion(settings.registry.bundles_path, settings.registry.model, load_model).model()


def test_options_become_the_policy_that_they_came_from() -> None:
    regions = '{"version": 1, "only": false, "regions": [{"action": "mask", "x1": 1, "y1": 2, "x2": 30, "y2": 40}]}'
    for facts in (VideoPolicy("blur", 0.4, doubt="withhold").facts(), VideoPolicy(untouched="copy").facts()):
        assert policy_of(facts).facts() == facts
    assert policy_of(facts | {"selection": regions}).selection.rows[0].x2 == 30
    masked = VideoPolicy(sound="mask", voice=VoicePolicy("one-voice", "keep", consistent=True)).facts()
    assert policy_of(masked).facts() == masked
    assert policy_of(masked).voice.key != policy_of(masked).voice.key, "a secret of its own for each attempt"
    with pytest.raises(PolicyError):
        policy_of(facts | {"style": "nonsense"})
