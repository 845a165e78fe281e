"""Stage `voice_base`: the voice model that the project ships becomes a bundle, with what finds speech beside it.

models/voice holds the graph, its golden outputs and the manifest of the bundle, which names every file by digest, that
of the speech detector as well: what is not as it was reviewed is refused.

    python -m pipelines.voice_base --adopt voice.onnx [--figures figures.json --changed "what is new"]

puts another graph there, with golden outputs and a manifest; what was measured of it (`python -m benchmarks.voice
--figures figures.json`) goes with it to whoever asks for the styles, and into the table of all that shipped.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnx

from masking.errors import ModelError
from masking.voice.loading import load_voice
from masking.voice.mel import whole
from masking.voice.procedural import Speaker, lexicon, speak
from mlops.registry.bundle import MANIFEST, Bundle, BundleError, open_bundle
from mlops.settings import load_settings
from pipelines.voice.bundles import FIGURES, GOLDEN, GRAPH, SPEECH, VadError, assemble, reviewed_vad, with_figures
from pipelines.voice.history import NAME, append
from pipelines.voice.network.graph import in_halves

SHIPPED: Final = Path("models/voice")
OUT: Final = Path("data/voice-base")
MOST_BYTES: Final = 2_000_000
WORDS: Final = 6
PARTS: Final = (GRAPH, GOLDEN, FIGURES, MANIFEST)


def gather(shipped: Path, vad: Path, out: Path) -> Bundle:
    """Write the bundle of the shipped model, made anew, and verify it.

    Raises:
        BundleError: A file is not the one that the shipped manifest names.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for file in PARTS:
        if (shipped / file).is_file():
            shutil.copyfile(shipped / file, out / file)
    shutil.copyfile(vad, out / SPEECH)
    return open_bundle(out, "base")


def adopt(graph: Path, shipped: Path, vad: Path, name: str, figures: Mapping[str, Any] | None = None) -> str:
    """Put a graph into the shipped folder, with golden outputs of procedural speech; returns the manifest's digest.

    Args:
        graph: The ONNX file; one that is larger than 2 MB is shipped with its weights in half precision.
        shipped: The folder, whose other files stay.
        vad: The graph that finds speech, reviewed.
        name: Name of the model in the registry.
        figures: What was measured of it, by style; None where nothing is told.

    Raises:
        ValueError: The graph is larger than 2 MB even so, or does not say what kind it is.
        ModelError: It does not load.
    """
    model = onnx.load_model(graph)
    kinds = {each.key: each.value for each in model.metadata_props}
    if "kind" not in kinds:
        raise ValueError("the graph's metadata do not say of which kind it is")
    data = graph.read_bytes()
    if len(data) > MOST_BYTES:
        data = in_halves(model).SerializeToString(deterministic=True)
    if len(data) > MOST_BYTES:
        raise ValueError(f"the graph has {len(data)} bytes in half precision, at most {MOST_BYTES} are shipped")
    rng = np.random.default_rng(0)
    said = speak(Speaker.draw(rng), lexicon(WORDS, rng), rng)
    with TemporaryDirectory() as folder:
        made = Path(folder) / "bundle"
        assemble(made, name, kinds["kind"], data, whole(said.samples), vad)
        bundle = open_bundle(made, "base")
        if figures is not None:
            bundle = with_figures(bundle, figures, Path(folder) / "told")
        load_voice(bundle)
        shipped.mkdir(parents=True, exist_ok=True)
        (shipped / FIGURES).unlink(missing_ok=True)
        for file in PARTS:
            if (bundle.folder / file).is_file():
                shutil.copyfile(bundle.folder / file, shipped / file)
    return bundle.digest


def main() -> int:
    """Gather the bundle, or adopt a graph; the exit code is 1 where a file is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.voice_base", description="The voice model that ships.")
    parser.add_argument("--adopt", metavar="GRAPH", type=Path, help="ship this graph")
    parser.add_argument("--figures", metavar="FILE", type=Path, help="with what was measured of it, by style")
    parser.add_argument("--changed", metavar="WORDS", help="and add it to history.csv, with what is new about it")
    asked = parser.parse_args()
    if asked.changed is not None and None in (asked.adopt, asked.figures):
        parser.error("--changed goes with --adopt and --figures")
    try:
        vad = reviewed_vad()
        if asked.adopt is not None:
            figures = json.loads(asked.figures.read_text(encoding="utf-8")) if asked.figures else None
            digest = adopt(asked.adopt, SHIPPED, vad, load_settings().registry.voice_model, figures)
            if asked.changed is not None and figures is not None:
                graph = hashlib.sha256((SHIPPED / GRAPH).read_bytes()).hexdigest()
                append(SHIPPED / NAME, figures, graph, asked.changed)
        else:
            digest = gather(SHIPPED, vad, OUT).digest
    except (VadError, BundleError, ModelError, OSError, ValueError) as error:
        sys.stderr.write(f"voice_base: {error}\n")
        return 1
    sys.stderr.write(f"voice_base: bundle {digest[:12]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
