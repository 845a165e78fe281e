"""What a candidate gained on the base, as figures that the gate has rules for."""

from collections.abc import Mapping
from typing import Any, Final

GAINS: Final = {"eer_gained": ("eer", 1), "rank1_added": ("rank1", 1), "words_lost": ("words", -1)}
"""Figure of the comparison: which figure of a model it is of, and which way it counts."""


def compared(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Add ``against_base`` to the figures of an evaluation that has ``candidate`` and ``base``.

    A figure that one of them lacks is left out, so that its rule fails.
    """
    candidate, base = figures.get("candidate", {}), figures.get("base", {})
    gains = {
        name: sign * (float(candidate[key]) - float(base[key]))
        for name, (key, sign) in GAINS.items()
        if key in candidate and key in base
    }
    return {**figures, "against_base": gains}
