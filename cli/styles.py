"""What `masker styles` prints: the styles with honest labels, and what was measured of the voices."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mlops.registry.bundle import Bundle

Figures = Mapping[str, Mapping[str, Any]]
TOLD: Final = {
    "eer": "the strongest attacker errs in {:.1%} of pairs (50%: a guess)",
    "rank1": "names {:.1%} of voices at once",
    "people": "among {} people",
    "words": "{:.1%} of words are understood",
}
"""What is told of each figure, in this order."""


def lines(bundle: Bundle | None, face: str, voice: str) -> Iterator[str]:
    """Yield the styles of faces and voices, a line each, and below a voice what was measured of it.

    Args:
        bundle: Files of the model that masks voices; None where there is none.
        face: The style that a face gets unless asked otherwise.
        voice: The same for a voice.
    """
    from masking.styles import FACE_LABELS, VOICE_LABELS

    yield "faces (--style)"
    for name, label in FACE_LABELS.items():
        yield _line(name, label, name == face)
    yield "voices (--voice-style)"
    figures = {} if bundle is None else read_figures(bundle.figures)
    for name, label in VOICE_LABELS.items():
        yield _line(name, label, name == voice)
        if told := measured(figures.get(name, {})):
            yield f"  {'':10} measured: {told}"
    yield _source(bundle, figures)


def read_figures(path: Path | None) -> Figures:
    """Read the figures that lie in a bundle, by style and name; what cannot be read is none."""
    try:
        found = {} if path is None else json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {style: values for style, values in found.items() if isinstance(values, dict)}


def _line(name: str, label: str, default: bool) -> str:
    return f"  {name:10} {label}{' The default.' if default else ''}"


def _source(bundle: Bundle | None, figures: Figures) -> str:
    if bundle is None:
        return "no model of voices is installed, so nothing is known of how well they are masked"
    model = f"{bundle.name} version {bundle.version}"
    return f"figures of {model}" if figures else f"nothing was measured of {model}"


def measured(values: Mapping[str, Any]) -> str:
    """Say of a style's figures what people ask first; all of them are in its bundle, and in ``GET /v1/styles``.

    Args:
        values: Figures by name; shares lie in [0, 1], and whatever is no number is left out.
    """
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    told = [sentence.format(numbers[name]) for name, sentence in TOLD.items() if name in numbers]
    return ", ".join(told)
