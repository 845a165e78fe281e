"""The figures of a voice model as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

INK: Final = "#22303c"
COLOURS: Final = {"none": "#9fb3bd", "mcadams": "#c4553b", "base": "#1f6f8b", "candidate": "#22303c"}


def draw_trade_off(figures: Mapping[str, Any], path: Path) -> None:
    """Draw what is understood against how often the strongest attacker errs, with his 95 % interval over people."""
    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, colour in COLOURS.items():
        each = figures.get(name, {})
        if "eer" not in each:
            continue
        # McAdams is there to examine the attackers, so its words are not always asked for.
        words, low, high = (
            each.get("words", float("nan")),
            each["eer"] - each["eer_low"],
            each["eer_high"] - each["eer"],
        )
        if words == words:
            axes.errorbar(words, each["eer"], yerr=[[max(low, 0)], [max(high, 0)]], fmt="o", color=colour, label=name)
        else:
            axes.axhline(each["eer"], color=colour, linestyle=":", label=name)
    axes.axhline(0.5, color=INK, linestyle="--", linewidth=1, label="a guess")
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 0.6)
    axes.set_xlabel("words understood")
    axes.set_ylabel("equal error rate of the strongest attacker")
    people = "procedural" if figures.get("on_procedural_speakers") else "recorded"
    axes.set_title(
        f"Privacy and words, {figures.get('people', 0):.0f} {people} speakers sought", loc="left", fontsize=10
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    # Same figures, same file: no random ids, no date.
    with mpl.rc_context({"svg.hashsalt": "charts"}):
        figure.savefig(path, metadata={"Date": None})
