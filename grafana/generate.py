"""Writes the Grafana dashboards from code: ``make dashboards``; the files are committed and never edited."""

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.overview import overview
from grafana.releases import releases

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"


def rendered(board: dashboard.Dashboard) -> str:
    """Return the dashboard as JSON, with the panel ids and query letters that the SDK leaves empty."""
    content: dict[str, Any] = json.loads(json.dumps(board.build(), cls=JSONEncoder, sort_keys=True))
    for number, panel in enumerate(content["panels"], start=1):
        panel["id"] = number
        for place, target in enumerate(panel.get("targets", ())):
            target["refId"] = chr(ord("A") + place)
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


DASHBOARDS: Final = {"overview.json": overview, "releases.json": releases}


def main() -> None:
    """Write every dashboard into its file."""
    for name, make in DASHBOARDS.items():
        (FOLDER / name).write_text(rendered(make()), "utf-8")


if __name__ == "__main__":
    main()
