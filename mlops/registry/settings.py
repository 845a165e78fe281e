"""The settings of registered models."""

from pathlib import Path

from pydantic import PositiveFloat

from mlops.sections import Section


class RegistrySettings(Section):
    """Where models are tracked, registered and taken from."""

    tracking_uri: str
    """MLflow tracking and registry store: a database URI, or the address of an MLflow server."""
    artifacts: str
    """Folder or URI that artifacts of new experiments go to."""
    model: str
    """Name of the registered model that masks faces."""
    voice_model: str
    """Name of the registered model that masks voices."""
    bundles_path: Path
    """Folder with the verified local copies of registered versions, which serving reads."""
    poll_seconds: PositiveFloat
    """Seconds between two looks for a new champion."""
    traffic_seconds: PositiveFloat
    """Seconds between two looks of serving at the local pointers that say which versions get how much traffic."""
