"""Stage `versions`: what every registered version hides and what it keeps, as a table and as pictures.

The figures are those of the run that made a version, on the data of that day, as the registry has them. Beside the
registered voice models stand those that shipped, measured on recorded people (models/voice/history.csv).
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException

from mlops.registry.mlflow import Registry, Version
from mlops.settings import load_settings
from pipelines.version_charts import Panel, Point, draw
from pipelines.voice.history import NAME, Shipped, read

TABLE: Final = Path("reports/versions.csv")
PLOTS: Final = Path("reports/version-plots")
SHIPPED: Final = Path("models/voice") / NAME
STYLE: Final = "strong"
UNMASKED: Final = "no mask"


@dataclass(frozen=True, slots=True)
class Row:
    """One masker of one version.

    Attributes:
        model: Name of the registered model.
        version: Its number.
        standing: Its aliases: ``champion``, ``challenger``, ``previous``, or nothing.
        data: What it was measured on, as the version's tag says.
        masker: A style, or what stands beside it: no mask, McAdams.
        privacy: Of faces the share of people whom the strongest attacker names at once; of voices his equal error rate.
        low: Lower end of the 95 % interval of that.
        high: Upper end.
        utility: Of faces the share of masked faces that are still found; of voices the share of words understood.
    """

    model: str
    version: int
    standing: str
    data: str
    masker: str
    privacy: float
    low: float
    high: float
    utility: float


Figures = Mapping[str, float]


def faces(version: Version, figures: Figures) -> list[Row]:
    """Rows of a version of the model of faces: one for each style of which both was measured, and one for no mask."""
    rows = []
    for name in figures:
        parts = name.split(".")
        if parts[:2] != ["privacy", "face"] or parts[3:] != ["rank1"]:
            continue
        kept = 1.0 if parts[2] == "unmasked" else figures.get(f"utility.{parts[2]}.face_found")
        if kept is not None:
            masker = UNMASKED if parts[2] == "unmasked" else parts[2]
            rows.append(_row(version, masker, figures, name, kept))
    return rows


def voices(version: Version, figures: Figures) -> list[Row]:
    """Rows of a version of the model of voices: its style, and no mask and McAdams as the same attackers saw them."""
    maskers = {"": STYLE, "none.": UNMASKED, "mcadams.": "McAdams"}
    return [
        _row(version, masker, figures, f"{prefix}eer", figures.get(f"{prefix}words", float("nan")))
        for prefix, masker in maskers.items()
        if f"{prefix}eer" in figures
    ]


def _row(version: Version, masker: str, figures: Figures, name: str, kept: float) -> Row:
    value, nothing = figures[name], float("nan")
    low, high = figures.get(f"{name}_low", nothing), figures.get(f"{name}_high", nothing)
    data = version.tags.get("data_version", "")
    return Row(version.name, int(version.version), " ".join(version.aliases), data, masker, value, low, high, kept)


def shipped_points(rows: Sequence[Shipped]) -> list[Point]:
    """Points of the voice models that shipped."""
    names = {"none": UNMASKED, "mcadams": "McAdams"}
    return [
        Point(names.get(row.masker, row.masker), row.version, row.words, row.eer, row.eer_low, row.eer_high)
        for row in rows
    ]


def points(rows: Sequence[Row]) -> list[Point]:
    """Points of registered versions."""
    return [Point(row.masker, row.version, row.utility, row.privacy, row.low, row.high) for row in rows]


def measured(registry: Registry, name: str) -> list[tuple[Version, Figures]]:
    """Give the versions of a model, oldest first, with the figures of the runs that made them.

    Raises:
        RegistryError: The registry does not answer.
    """
    return [(version, _figures(version.run_id)) for version in reversed(registry.versions(name))]


def _figures(run_id: str) -> Figures:
    try:
        return dict(mlflow.get_run(run_id).data.metrics) if run_id else {}
    except MlflowException:
        return {}


def write(rows: Sequence[Row], shipped: Sequence[Shipped], table: Path, plots: Path, voice_model: str) -> None:
    """Write the table, and a picture for faces and one for voices."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    plots.mkdir(parents=True, exist_ok=True)
    seen, heard = ([row for row in rows if (row.model == voice_model) == voiced] for voiced in (False, True))
    draw([Panel("Versions registered here", points(seen))], FACES, plots / "faces.svg")
    people = max((row.people for row in shipped), default=0)
    panels = [
        Panel(f"Models that shipped, {people} recorded people", shipped_points(shipped)),
        Panel("Versions registered here, on the data of the pipeline", points(heard)),
    ]
    draw(panels, VOICES, plots / "voices.svg")


FACES: Final = (
    "masked faces that are still found as faces",
    "people named at once by the strongest attacker\n(lower hides more)",
)
VOICES: Final = (
    "single words understood",
    "equal error rate of the strongest attacker\n(higher hides more, 0.5 is a guess)",
)


def main() -> None:
    """Read the registry, and write reports/versions.csv and reports/version-plots."""
    settings = load_settings().registry
    registry = Registry(settings.tracking_uri)
    rows: list[Row] = []
    without: list[str] = []
    for name, of_version in ((settings.model, faces), (settings.voice_model, voices)):
        for version, figures in measured(registry, name):
            found = of_version(version, figures)
            rows += found
            without += [] if found else [f"{name} {version.version}"]
    write(rows, read(SHIPPED), TABLE, PLOTS, settings.voice_model)
    told = f"; without figures of both: {', '.join(without)}" if without else ""
    sys.stderr.write(f"versions: {len({(row.model, row.version) for row in rows})} drawn{told}\n")


if __name__ == "__main__":
    main()
