"""A model and a registry of voices that tests steer, and sound that they find somebody in."""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx

from masking.voice.loading import VoiceModel
from masking.voice.mel import log_mel
from masking.voice.types import BANDS, RATE, Mono
from mlops.rollout.traffic import Split, Variant
from pipelines.voice.bundles import assemble
from services.serving.voices import Figures, Voices
from tests.patience import PATIENCE_SECONDS

VAD = Path(__file__).resolve().parents[2] / "data/base/silero_vad.onnx"


@dataclass
class Braked:
    """A session of a graph that waits while the gate of its voices is closed, and raises their error if any."""

    voices: "VoiceRegistry"
    session: Any
    version: str

    def run(self, names: Any, inputs: Any) -> Any:
        self.voices.asked.set()
        assert self.voices.gate.wait(PATIENCE_SECONDS)
        if self.version in self.voices.closed:
            assert self.voices.closed[self.version].wait(PATIENCE_SECONDS)
        if self.version in self.voices.broken:
            raise RuntimeError("broken")
        if self.voices.error is not None:
            raise self.voices.error
        return self.session.run(names, inputs)


@dataclass
class VoiceRegistry:
    """Where the app gets its models of voices from; a test changes ``version``, or what the graphs do."""

    make: Callable[["VoiceRegistry", str], VoiceModel]
    version: str | None = "1"
    error: Exception | None = None
    load_error: Exception | None = None
    figures: Figures = field(default_factory=dict)
    beside: Variant | None = None
    broken: set[str] = field(default_factory=set)
    closed: dict[str, threading.Event] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def stamp(self) -> str | None:
        return None if self.version is None else f"{self.version} {self.beside}"

    def split(self) -> Split | None:
        if self.version is None or self.beside is None:
            return None if self.version is None else Split.whole("voice-masker", self.version, "0" * 64)
        champion = Variant("champion", self.version, "0" * 64, 1 - self.beside.weight)
        return Split("voice-masker", (champion, self.beside), "salt")

    def load(self, variant: Variant) -> Voices:
        if self.load_error is not None:
            raise self.load_error
        return Voices(self.make(self, variant.version), self.figures)


def record(talk: Mono, container: str = "wav", codec: str = "pcm_s16le", rate: int = RATE, channels: int = 1) -> bytes:
    """Make a sound file of somebody's talk at 16 kHz."""
    layout = "mono" if channels == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as written:
        stream = written.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.tile(talk, (channels, 1)), format="fltp", layout=layout)
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format.name, layout, rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            written.mux(stream.encode(piece))
        written.mux(stream.encode())
    return file.getvalue()


def make_bundle(folder: Path, talk: Mono) -> None:
    """Make a bundle of `voice-masker` whose graph says of every frame that it sounds like the mean of the talk."""
    mel = log_mel(talk)
    average = mel.mean(axis=0)
    nodes = [
        onnx.helper.make_node("Mul", ["mel", "nothing"], ["flat"]),
        onnx.helper.make_node("Add", ["flat", "average"], ["envelope"]),
        onnx.helper.make_node("ReduceMean", ["mel"], ["level"], axes=[2], keepdims=1),
        onnx.helper.make_node("Sigmoid", ["level"], ["voicing"]),
    ]
    bands, one = ([1, "t", BANDS], [1, "t", 1])
    value = partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    weights = [
        onnx.numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
        onnx.numpy_helper.from_array(average.astype(np.float32), "average"),
    ]
    outputs = [value("envelope", shape=bands), value("voicing", shape=one)]
    graph = onnx.helper.make_graph(nodes, "voice", [value("mel", shape=bands)], outputs, weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    told = {"left": "0", "right": "0", "kind": "codebook", "average": ",".join(str(level) for level in average)}
    onnx.helper.set_model_props(model, told)
    assemble(folder, "voice-masker", "codebook", model.SerializeToString(), mel, VAD)
