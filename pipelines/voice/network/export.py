"""Last step of `make train-voice`: the network becomes an ONNX graph.

    python -m pipelines.voice.network.export

writes data/voice-network/voice.onnx and data/voice-network/facts.json;
`python -m pipelines.voice_base --adopt data/voice-network/voice.onnx`
then makes it the model that ships.
"""

import json
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from masking.errors import ModelError
from masking.voice.loading import open_graph
from masking.voice.types import BANDS
from pipelines.params import load_params
from pipelines.voice.network import train
from pipelines.voice.network.graph import OPSET, described, in_halves
from pipelines.voice.network.model import VoiceNetwork

OUT: Final = Path("data/voice-network/voice.onnx")
FACTS: Final = Path("data/voice-network/facts.json")
MOST_BYTES: Final = 2_000_000
TOLERANCE: Final = 1e-3
"""How far the graph may lie from the network: both add in another order."""
_FRAMES: Final = (200, 333)


class ExportError(Exception):
    """The graph is not what the network is, or too large."""


def exported(network: VoiceNetwork, average: NDArray[np.float32]) -> bytes:
    """Give the network as an ONNX graph; the network's own weights are rounded to half precision.

    Args:
        network: As trained.
        average: Envelope of the average voice, shape (80,).

    Raises:
        ExportError: The graph is too large, or answers otherwise than the network.
    """
    network.eval().half().float()
    file, names = BytesIO(), ("mel", "envelope", "voicing")
    with warnings.catch_warnings():
        # The exporter that torch recommends instead needs two more packages, for the same graph; what this one does not
        # fold, the runtime folds.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        torch.onnx.export(
            network,
            (torch.zeros(1, _FRAMES[0], BANDS),),
            file,
            input_names=["mel"],
            output_names=["envelope", "voicing"],
            dynamic_axes={name: {1: "frames"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
    plain = onnx.load_model_from_string(file.getvalue())
    graph: bytes = described(in_halves(plain), *network.reach, average).SerializeToString(deterministic=True)
    if len(graph) > MOST_BYTES:
        raise ExportError(f"the graph has {len(graph)} bytes, at most {MOST_BYTES} are shipped")
    for frames in _FRAMES:
        if not (furthest := _difference(network, graph, frames)) <= TOLERANCE:
            raise ExportError(f"the graph is {furthest:.5f} off the network, {TOLERANCE} is allowed")
    return graph


def _difference(network: VoiceNetwork, graph: bytes, frames: int) -> float:
    mel = np.random.default_rng(frames).normal(-5, 2, (1, frames, BANDS)).astype(np.float32)
    with torch.inference_mode():
        pairs = zip(network(torch.from_numpy(mel)), open_graph(graph).outputs(mel), strict=True)
        return max(float(np.abs(expected.numpy() - found).max()) for expected, found in pairs)


def main() -> None:
    """Write data/voice-network/voice.onnx and what is known of it."""
    params = load_params().voice_network
    stored = torch.load(train.NETWORK, weights_only=True)
    network = VoiceNetwork(params.sharpness, params.voicing_slope)
    network.load_state_dict(stored["weights"])
    try:
        graph = exported(network, stored["average"].numpy())
    except (ExportError, ModelError, ValueError) as error:
        sys.exit(f"export: {error}")
    OUT.write_bytes(graph)
    left, right = network.reach
    told = json.loads(train.FACTS.read_text(encoding="utf-8"))
    told |= {"bytes": len(graph), "left": left, "right": right}
    FACTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(f"export: {OUT}, {len(graph)} bytes; {left} frames of the past, {right} of the future\n")


if __name__ == "__main__":
    main()
