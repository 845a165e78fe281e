"""What keeps rows and captures is open together, or not at all."""

import asyncio
from pathlib import Path

import pytest

from mlops.metrics import Metrics
from mlops.predictions.captures import Captures
from mlops.predictions.recorder import Recorder
from mlops.predictions.spool import living
from mlops.settings import load_settings
from services.serving.recording import Recording


def test_where_captures_cannot_be_kept_nothing_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(
        environ={
            "MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/predictions.db",
            "MASKER_PREDICTIONS__SPOOL_PATH": f"{tmp_path}/spool",
            "MASKER_CAPTURE__PATH": f"{tmp_path}/file/captures",
        }
    )
    metrics = Metrics()
    recorder = Recorder(settings.predictions, metrics, replica="here")
    recording = Recording(recorder, Captures(settings.capture, metrics))
    with pytest.raises(NotADirectoryError):
        asyncio.run(recording.__aenter__())
    assert living(settings.predictions.spool_path) == frozenset()
    assert not any(place.is_dir() for place in settings.predictions.spool_path.iterdir())
