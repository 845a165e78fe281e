"""The figures of an evaluation as pictures: `dvc plots show` shows them, and a page of pictures fetches no script."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, ACCENT, MUTED, RISK = "#22303c", "#1f6f8b", "#9fb3bd", "#c4553b"
SIZE_INCHES: Final = (8.0, 3.6)


def draw_recall(detection: dict[str, Any], path: Path) -> None:
    """Draw recall by size of the face, int8 beside fp32, with the number of faces in each band."""
    figure, axes = _chart()
    bands = list(detection["int8"]["by_size"])
    place = np.arange(len(bands))
    for shift, precision, colour in ((-0.2, "int8", ACCENT), (0.2, "fp32", MUTED)):
        values = [detection[precision]["by_size"][band]["recall"] for band in bands]
        bars = axes.bar(place + shift, values, 0.38, color=colour, label=precision)
        axes.bar_label(bars, fmt="%.2f", fontsize=8, color=INK)
    names = [band.replace("-inf", " and more").replace("px", " px") for band in bands]
    counts = [int(detection["int8"]["by_size"][band]["faces"]) for band in bands]
    axes.set_xticks(place, [f"{name}\n{count} faces" for name, count in zip(names, counts, strict=True)])
    axes.set_ylabel("faces found")
    axes.set_title("Recall by the shorter side of the face", loc="left", fontsize=10)
    _save(figure, axes, path)


def draw_privacy(privacy: dict[str, Any], path: Path) -> None:
    """Draw how often the strongest attacker names the right person, by style, with 95 % intervals and chance."""
    figure, axes = _chart()
    styles = list(privacy["face"])
    place = np.arange(len(styles))
    seen_as = ((-0.2, "face", "sees the face", RISK), (0.2, "with_surroundings", "sees surroundings too", MUTED))
    for shift, seen, label, colour in seen_as:
        rows = [privacy[seen][style] for style in styles]
        values = np.array([row["rank1"] for row in rows])
        spread = [values - [row["rank1_low"] for row in rows], [row["rank1_high"] for row in rows] - values]
        axes.bar(place + shift, values, 0.38, color=colour, label=f"attacker {label}", yerr=spread, ecolor=INK)
    axes.axhline(privacy["chance"], color=INK, linestyle="--", linewidth=1, label="chance")
    axes.set_xticks(place, styles)
    axes.set_ylabel("right person at rank 1")
    title = f"Re-identification among {privacy['enrolled']:.0f} people, gallery masked the same way"
    axes.set_title(title, loc="left", fontsize=10)
    _save(figure, axes, path)


def draw_attackers(privacy: dict[str, Any], path: Path) -> None:
    """Draw the rank-1 rates of attackers who see the face, by what they know, for each style."""
    figure, axes = _chart()
    styles = list(privacy["face"])
    place = np.arange(len(styles))
    parrot = [privacy["face"][style]["rank1"] for style in styles]
    kinds = {"parrot": parrot} | {
        kind: [privacy["face"][style][kind]["rank1"] for style in styles] for kind in ("naive", "pixel", "linkage")
    }
    for index, (kind, values) in enumerate(kinds.items()):
        axes.bar(place + 0.2 * index - 0.3, values, 0.19, color=(RISK, INK, MUTED, ACCENT)[index], label=kind)
    axes.axhline(privacy["chance"], color=INK, linestyle="--", linewidth=1, label="chance")
    axes.set_xticks(place, styles)
    axes.set_ylabel("right person at rank 1")
    axes.set_title("Re-identification by what the attacker knows", loc="left", fontsize=10)
    _save(figure, axes, path)


def draw_slices(slices: dict[str, dict[str, float]], path: Path) -> None:
    """Draw the recall in each slice, int8 beside fp32, with the number of faces."""
    figure, axes = _chart()
    place = np.arange(len(slices))
    for shift, key, label, colour in ((-0.2, "recall", "int8", ACCENT), (0.2, "fp32_recall", "fp32", MUTED)):
        axes.bar(place + shift, [each[key] for each in slices.values()], 0.38, color=colour, label=label)
    names = [f"{name.replace('_', ' ').replace('-inf', '+')}\n{each['faces']:.0f}" for name, each in slices.items()]
    axes.set_xticks(place, names, rotation=45, ha="right", fontsize=8)
    axes.set_ylabel("faces found")
    axes.set_title("Recall by slice, and faces in it", loc="left", fontsize=10)
    _save(figure, axes, path)


def _chart() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    return figure, figure.subplots()


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.set_ylim(0, 1.08)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    # Same figures, same file: no random ids, no date.
    with mpl.rc_context({"svg.hashsalt": "charts"}):
        figure.savefig(path, metadata={"Date": None})
