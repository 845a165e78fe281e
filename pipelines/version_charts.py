"""What versions of a model hide against what they keep: a mark for each version, a line for each masker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GRID = "#22303c", "#e3e8eb"
BESIDE: Final = {"no mask": ("#9fb3bd", "s"), "McAdams": ("#c4553b", "D")}
"""Colour and mark of what versions are held against."""
COLOURS: Final = ("#1f6f8b", "#e0a030", "#5b8c5a", "#7a5195", "#c06c84", "#22303c")
NAMED: Final = 12
"""Versions whose number stands at the axis, the newest; all are drawn, and the newest is larger."""


@dataclass(frozen=True, slots=True)
class Point:
    """One masker of one version: what is kept, and what the attackers reached, with its 95 % interval (nan: none)."""

    masker: str
    version: int
    kept: float
    reached: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Panel:
    """Points that were measured alike, and what they are."""

    title: str
    points: Sequence[Point]


def draw(panels: Sequence[Panel], labels: tuple[str, str], path: Path) -> None:
    """Draw for each panel what is hidden against what is kept, and below it both by version; same points, same file.

    Args:
        panels: What is drawn, beside each other.
        labels: Of what is kept, and of what the attackers reached.
        path: The SVG.
    """
    figure = Figure(figsize=(1.8 + 4.4 * len(panels), 7.0), layout="constrained")
    every = figure.subplots(3, len(panels), sharey="row", squeeze=False, height_ratios=(3, 1.2, 1.2))
    names = sorted({point.masker for panel in panels for point in panel.points} - set(BESIDE))
    looks = BESIDE | {name: (COLOURS[index % len(COLOURS)], "o") for index, name in enumerate(names)}
    for (above, hidden, kept), panel in zip(every.T, panels, strict=True):
        for name, look in looks.items():
            of_masker = sorted((each for each in panel.points if each.masker == name), key=lambda each: each.version)
            if of_masker:
                _trade_off(above, name, of_masker, look)
                _by_version(hidden, of_masker, [point.reached for point in of_masker], look)
                _by_version(kept, of_masker, [point.kept for point in of_masker], look)
        _finish(above, hidden, kept, panel, labels[0])
    every[0][0].set_ylabel(labels[1], fontsize=9)
    every[1][0].set_ylabel("attacker,\nas above", fontsize=9)
    every[2][0].set_ylabel("kept,\nas above", fontsize=9)
    top = max(
        (value for panel in panels for p in panel.points for value in (p.reached, p.high) if value == value), default=1
    )
    for row, limit in zip(every, (1.08 * top, 1.08 * top, 1.08), strict=True):
        row[0].set_ylim(0, limit)
    handles = {
        label: handle for axes in every[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(list(handles.values()), list(handles), frameon=False, fontsize=9, loc="outside right upper")
    # Same figures, same file: no random ids, no date.
    with mpl.rc_context({"svg.hashsalt": "charts"}):
        figure.savefig(path, metadata={"Date": None})


def _finish(above: Axes, hidden: Axes, kept: Axes, panel: Panel, label: str) -> None:
    if not panel.points:
        above.text(0.5, 0.5, "no version has figures", transform=above.transAxes, ha="center", color=INK, fontsize=9)
    shown = [point.kept for point in panel.points if point.kept == point.kept]
    above.set_xlim(min([*shown, 0.9]) - 0.08, 1.05)
    above.set_title(panel.title, loc="left", fontsize=10)
    above.set_xlabel(label, fontsize=9)
    versions = sorted({point.version for point in panel.points})
    for axes in (hidden, kept):
        axes.set_xticks(versions[-NAMED:])
        axes.set_xlim(min(versions, default=1) - 0.5, max(versions, default=1) + 0.5)
    kept.set_xlabel("version", fontsize=9)
    for axes in (above, hidden, kept):
        axes.tick_params(labelsize=8)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def _by_version(axes: Axes, points: Sequence[Point], values: Sequence[float], look: tuple[str, str]) -> None:
    colour, mark = look
    axes.plot([point.version for point in points], values, color=colour, marker=mark, markersize=4, linewidth=1)


def _trade_off(axes: Axes, name: str, points: Sequence[Point], look: tuple[str, str]) -> None:
    colour, mark = look
    told = [point for point in points if point.kept == point.kept]
    if not told:
        # What is understood behind it was not asked for: only its height is known.
        axes.axhline(points[-1].reached, color=colour, linestyle=":", label=name)
        return
    x, y = [point.kept for point in told], [point.reached for point in told]
    axes.plot(x, y, color=colour, linewidth=1, alpha=0.5)
    if all(point.low == point.low and point.high == point.high for point in told):
        below = [max(point.reached - point.low, 0) for point in told]
        above = [max(point.high - point.reached, 0) for point in told]
        axes.errorbar(x, y, yerr=[below, above], fmt="none", ecolor=colour, elinewidth=1, alpha=0.3)
    sizes = [70 if point is told[-1] else 22 for point in told]
    axes.scatter(x, y, s=sizes, color=colour, marker=mark, label=name, zorder=3)
    if name not in BESIDE:
        newest = told[-1]
        at = (newest.kept, newest.reached)
        axes.annotate(f"{newest.version}", at, (7, 5), textcoords="offset points", fontsize=8, color=INK)
