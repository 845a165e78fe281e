"""Telemetry of the packages that have some, switched off before they are imported: nothing phones home."""

import os
from typing import Final

SWITCHES: Final = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "ORT_DISABLE_TELEMETRY": "1",
}


def switch_off() -> None:
    """Set every switch for this process and its children, whatever it was; packages read them while imported."""
    os.environ.update(SWITCHES)  # noqa: TID251 - these are not settings of ours
