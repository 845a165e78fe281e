"""The one way an ONNX graph is opened: on the CPU, quiet, with no telemetry and no idle spinning."""

from pathlib import Path

import onnxruntime as ort

from masking.errors import ModelError

# For builds that do not read ORT_DISABLE_TELEMETRY (see `masking`), as those for Windows apps.
ort.disable_telemetry_events()


def open_session(graph: bytes | Path, threads: int = 1) -> ort.InferenceSession:
    """Open a graph for inference.

    Many requests run side by side, each in a thread of its own, so one thread an inference (the default) uses the cores
    best; spinning is off because a waiting core is another request's core.

    Args:
        graph: The model as bytes, or the path of its file.
        threads: Threads within one inference, at least 1.

    Raises:
        ModelError: The graph cannot be opened.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena keeps the memory of the largest image ever seen; shrinking it after each run costs little beside a run.
    options.enable_mem_pattern = False
    try:
        model = str(graph) if isinstance(graph, Path) else graph
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own making, and all of them mean this
        raise ModelError(f"the ONNX graph cannot be opened ({type(error).__name__})") from error
