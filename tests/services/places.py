"""Settings of tests: every file that is written lies in a folder of the test's own."""

from pathlib import Path

from mlops.settings import Settings, load_settings

QUICK = {"serving__threads": 2, "registry__traffic_seconds": 0.02, "masking__search": "fast"}
UNHURRIED = {
    "serving__deadline_seconds": 300,
    "serving__queue_seconds": 120,
    "serving__answer_seconds": 120,
    "serving__predict_seconds": 120,
    "live__frame_seconds": 120,
    "live__idle_seconds": 120,
    "server__keep_alive_seconds": 120,
}
"""What serving promises a caller, as a machine can keep it that is ever so slow; who tests lateness lays over less."""


def settings_of(**variables: object) -> Settings:
    """Settings with ``section__name=value`` laid over."""
    given = QUICK | UNHURRIED | variables
    return load_settings(environ={f"MASKER_{name.upper()}": str(value) for name, value in given.items()})


def places_in(folder: Path) -> dict[str, object]:
    """Variables that lay every place of the settings into a folder."""
    return {
        "database__url": f"sqlite:///{folder}/platform.db",
        "predictions__url": f"sqlite:///{folder}/predictions.db",
        "predictions__spool_path": folder / "predictions",
        "predictions__parquet_path": folder / "lake",
        "capture__path": folder / "captures",
        "registry__bundles_path": folder / "bundles",
        "registry__tracking_uri": f"sqlite:///{folder}/mlflow.db",
        "jobs__spool_path": folder / "jobs",
    }
