"""Other servers of models, each in an environment of its own under var/benchmarks, with the same ONNX graph.

Each runs as its makers say, one worker process, one thread in onnxruntime and no access log, so that what is compared
is what a request costs around the model.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOME: Final = Path("var/benchmarks")
INFER: Final = "/v2/models/demo/infer"
SESSION: Final = """
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
"""
# What somebody writes who knows FastAPI: async, typed both ways, no thread for a model that needs none.
FASTAPI: Final = """
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]
class Request(BaseModel):
    inputs: list[Tensor]
class Response(BaseModel):
    model_name: str
    outputs: list[Tensor]
app = FastAPI()
@app.post("/v2/models/demo/infer")
async def infer(request: Request) -> Response:
    given = request.inputs[0]
    features = np.array(given.data, np.float32).reshape(given.shape)
    found, shares = session.run(None, {"features": features})
    return Response(model_name="demo", outputs=[
        Tensor(name="predictions", shape=list(found.shape), datatype="INT64", data=found.ravel().tolist()),
        Tensor(name="probabilities", shape=list(shares.shape), datatype="FP32", data=shares.ravel().tolist())])
uvicorn.run(app, port=PORT, access_log=False, log_level="warning")
"""
MLSERVER: Final = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
class Demo(MLModel):
    async def load(self):
        self.ready = True
        return True
    async def predict(self, payload):
        features = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        found, shares = session.run(None, {"features": features})
        return InferenceResponse(model_name="demo", outputs=[
            NumpyCodec.encode_output("predictions", found), NumpyCodec.encode_output("probabilities", shares)])
"""
BENTOML: Final = """
import bentoml
@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Demo:
    @bentoml.api(route="/predict")
    async def predict(self, features: list[list[float]]) -> dict:
        found, shares = session.run(None, {"features": np.array(features, np.float32)})
        return {"predictions": found.tolist(), "probabilities": shares.tolist()}
"""
SAVE: Final = "import mlflow, onnx, sys; mlflow.onnx.save_model(onnx.load(sys.argv[1]), sys.argv[2])"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server.

    Attributes:
        name: What it is called.
        packages: What is installed for it.
        prepare: Writes its files into a folder and returns the command that starts it, of folder, graph and port.
        path: Where it is asked.
        kind: Which of our bodies it takes: ``infer``, ``predict``, or ``inputs`` as MLflow has it.
    """

    name: str
    packages: tuple[str, ...]
    prepare: Callable[[Path, Path, int], list[str]]
    path: str
    kind: str

    @property
    def bin(self) -> Path:
        """Folder of its commands."""
        return (HOME / self.name / "bin").absolute()

    def install(self) -> None:
        """Make its environment on first use."""
        if not (HOME / self.name / ".ready").exists():
            subprocess.run([sys.executable, "-m", "venv", str(HOME / self.name)], check=True)
            pip = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *self.packages], check=True)
            (HOME / self.name / ".ready").touch()

    def environment(self) -> Mapping[str, str]:
        """Return the environment that it runs in: nothing phones home, and no thread waits by spinning."""
        switches = {"OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "true", "BENTOML_DO_NOT_TRACK": "True"}
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLSERVER_PARALLEL_WORKERS": "0"}
        return {**os.environ, **switches, **quiet, "PATH": f"{self.bin}:{os.environ['PATH']}"}


def _script(folder: Path, name: str, body: str, graph: Path, port: int) -> Path:
    file = folder / name
    file.write_text(f"MODEL, PORT = {str(graph)!r}, {port}\n{SESSION}{body}", encoding="utf-8")
    return file


def _fastapi(folder: Path, graph: Path, port: int) -> list[str]:
    return ["python", str(_script(folder, "app.py", FASTAPI, graph, port))]


def _mlserver(folder: Path, graph: Path, port: int) -> list[str]:
    _script(folder, "demo.py", MLSERVER, graph, port)
    (folder / "model-settings.json").write_text(json.dumps({"name": "demo", "implementation": "demo.Demo"}))
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0}))
    return ["mlserver", "start", str(folder)]


def _mlflow(folder: Path, graph: Path, port: int) -> list[str]:
    model = folder / "model"
    python = str(PEERS["mlflow"].bin / "python")
    quiet = {"env": PEERS["mlflow"].environment(), "capture_output": True}
    subprocess.run([python, "-c", SAVE, str(graph), str(model)], check=True, **quiet)  # type: ignore[call-overload]
    return ["mlflow", "models", "serve", "-m", str(model), "-p", str(port), "--env-manager", "local", "-w", "1"]


def _bentoml(folder: Path, graph: Path, port: int) -> list[str]:
    _script(folder, "service.py", BENTOML, graph, port)
    return ["bentoml", "serve", "service:Demo", "--port", str(port), "--working-dir", str(folder)]


PEERS: Final[Mapping[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer(
            "fastapi",
            ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools", "onnxruntime==1.31.1", "numpy"),
            _fastapi,
            INFER,
            "infer",
        ),
        Peer(
            "mlserver", ("mlserver==1.7.1", "uvloop<0.22", "onnxruntime"), _mlserver, "/v2/models/demo/infer", "infer"
        ),
        Peer("mlflow", ("mlflow==3.17.*", "onnx", "onnxruntime"), _mlflow, "/invocations", "inputs"),
        Peer("bentoml", ("bentoml", "onnxruntime"), _bentoml, "/predict", "predict"),
    )
}
