"""`masker captures` against the real platform API on a port of this machine."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from cli.app import app
from mlops.metrics import Metrics
from mlops.predictions.capture_file import MASKED, RAW, Capture, write_captures
from mlops.predictions.captures import seals
from mlops.predictions.row import new_identity
from mlops.settings import load_settings
from services.control.app import control_app

PHOTO = b"\xff\xd8 a masked photo"
KEPT = Capture(
    new_identity(), time.time(), "faces", "face-detector", "1", "champion", {}, PHOTO, "image/jpeg", {"faces": 1}
)
WHY = ("-m", "a face was missed", "--as", "ada")


@pytest.fixture
def masker(tmp_path: Path, serve: Callable[[FastAPI], AbstractContextManager[str]]) -> Iterator[Callable[..., Result]]:
    settings = load_settings(
        environ={
            "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
            "MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/p.db",
            "MASKER_PREDICTIONS__PARQUET_PATH": f"{tmp_path}/lake",
            "MASKER_REGISTRY__BUNDLES_PATH": f"{tmp_path}/bundles",
            "MASKER_CAPTURE__PATH": f"{tmp_path}/captures",
            "MASKER_CAPTURE__RAW_GRANTERS": "ada",
        }
    )
    settings.capture.path.mkdir()
    for ending in (MASKED, RAW):
        # As soon as it was made, which is when this file was read: a test may come long after that.
        write_captures(settings.capture.path, [KEPT], ending, seals(settings.capture, None)[ending], KEPT.time, 10**6)
    with serve(control_app(settings, Metrics())) as url:
        yield lambda *arguments: CliRunner().invoke(app, [*arguments, "--url", url])


def test_captures_are_lines(masker: Callable[..., Result]) -> None:
    (line,) = masker("captures", "list").stdout.splitlines()
    assert line.split("\t")[1:] == [KEPT.identity, "faces", "1", "champion", "image/jpeg", str(len(PHOTO))]
    assert json.loads(masker("captures", "list", "--json", "--endpoint", "faces").stdout)["id"] == KEPT.identity
    assert masker("captures", "list", "--version", "2").stdout == ""


def test_one_is_shown_by_how_its_id_begins(masker: Callable[..., Result]) -> None:
    shown = json.loads(masker("captures", "show", KEPT.identity[:12], *WHY).stdout)
    assert (shown["id"], shown["report"]) == (KEPT.identity, {"faces": 1})
    told = masker("captures", "show", "0" * 32, *WHY)
    assert told.exit_code == 1
    assert "not captured" in told.stderr
    assert masker("captures", "show", KEPT.identity, "--as", "ada").exit_code == 2, "nobody opens one without a reason"


def test_masked_output_is_exported_for_its_owner_alone(masker: Callable[..., Result], tmp_path: Path) -> None:
    told = masker("captures", "export", KEPT.identity, "--to", str(tmp_path / "out"), *WHY)
    place = Path(told.stdout.strip())
    assert (place.name, place.read_bytes(), place.stat().st_mode & 0o777) == (f"{KEPT.identity}.jpg", PHOTO, 0o600)
    other = tmp_path / "other"
    place.write_bytes(b"an older export")
    place.chmod(0o644)
    other.hardlink_to(place)
    assert masker("captures", "export", KEPT.identity, "--to", str(tmp_path / "out"), *WHY).exit_code == 0
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (PHOTO, 0o600)
    assert other.read_bytes() == b"an older export", "a file is put in its place whole, never written there"
    assert [each.name for each in place.parent.iterdir()] == [place.name]
    log = masker("audit").stdout
    assert "capture.open-output" in log
    assert "ada" in log


def test_raw_input_is_not_exported_without_a_grant(masker: Callable[..., Result], tmp_path: Path) -> None:
    refused = masker("captures", "export", KEPT.identity, "--raw", "--to", str(tmp_path / "out"), *WHY)
    assert refused.exit_code == 1
    assert "no grant" in refused.stderr
    assert not (tmp_path / "out").exists()
