import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlops.metrics import Metrics
from mlops.predictions import captures as captures_module
from mlops.predictions.capture_file import (
    MASKED,
    RAW,
    Capture,
    Unreadable,
    bytes_in,
    cut_off,
    files,
    is_over,
    read_captures,
    write_captures,
)
from mlops.predictions.captures import Captures, seals
from mlops.predictions.grants_file import LEASE_SECONDS, read_leases, write_leases
from mlops.predictions.row import new_identity
from mlops.predictions.settings import CaptureSettings
from mlops.redis import Seal
from tests.patience import PATIENCE_SECONDS, until

SECRET = b"the secret of the whole platform, of some length"


def capture(**said: object) -> Capture:
    ordinary = {
        "identity": new_identity(), "time": 5.0, "endpoint": "faces", "model": "m", "version": "1",
        "variant": "champion", "features": {"boxes": np.ones((2, 4), np.float32)}, "output": b"masked",
        "media_type": "image/png", "report": {"faces": 2},
    }  # fmt: skip
    return Capture(**(ordinary | said))


@pytest.fixture
def settings(tmp_path: Path) -> CaptureSettings:
    return CaptureSettings(
        share=0.1, release_share=0, path=tmp_path / "captures", most_bytes=1_000_000, reserve_bytes=0,
        keep_seconds=1000, features_land=(), raw_granters=(), raw_most_seconds=100,
    )  # fmt: skip


@pytest.fixture
def written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is offered is written when captures are closed, all of it together, however long the test takes."""
    monkeypatch.setattr(captures_module, "FLUSH_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def made(settings: CaptureSettings) -> Callable[..., tuple[Captures, Metrics]]:
    def make(clock: Callable[[], float] = time.time, **other: object) -> tuple[Captures, Metrics]:
        metrics = Metrics()
        captures = Captures(settings.model_copy(update=other), metrics, SECRET, clock)
        captures.open()
        return captures, metrics

    return make


def outcome(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value("masker_captures_total", {"outcome": name}) or 0.0


def test_the_share_is_kept_and_follows_from_the_name(settings: CaptureSettings) -> None:
    captures = Captures(settings, Metrics(), SECRET)
    names = [new_identity() for _ in range(20_000)]
    wanted = [captures.wanted(name) for name in names]
    assert np.mean(wanted) == pytest.approx(0.1, abs=0.0125)  # six times what it varies by
    other = Captures(settings, Metrics(), b"x" * 32)
    assert wanted == [other.wanted(name) for name in names]


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.1), (0.05, 0.1), (0.5, 0.5), (1.0, 1.0)])
def test_a_larger_sample_holds_the_usual_one(settings: CaptureSettings, share: float, expected: float) -> None:
    captures = Captures(settings.model_copy(update={"share": 0.1}), Metrics(), SECRET)
    names = [new_identity() for _ in range(5_000)]
    more = [captures.wanted_of(name, share) for name in names]
    assert np.mean(more) == pytest.approx(expected, abs=0.045)
    assert all(wanted for name, wanted in zip(names, more, strict=True) if captures.wanted(name))


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_none_and_all_are_none_and_all(settings: CaptureSettings, share: float, expected: bool) -> None:
    captures = Captures(settings.model_copy(update={"share": share}), Metrics(), SECRET)
    assert {captures.wanted(new_identity()) for _ in range(500)} == {expected}
    assert captures.wanted("0" * 32) == captures.wanted("f" * 32) == expected


@pytest.mark.usefixtures("written_at_the_end")
def test_what_is_offered_is_written_sealed_and_can_be_read(settings: CaptureSettings, made) -> None:
    captures, metrics = made()
    offered = [capture(), capture(features={"x": np.arange(3.0), "n": np.float32(2)}, output={"y": np.eye(2)})]
    for each in offered:
        captures.offer(each)
    captures.close()
    (place,) = files(settings.path, MASKED)
    assert b"masked" not in place.read_bytes().replace(b".masked", b"")
    assert place.stat().st_mode & 0o777 == 0o600
    first, second = read_captures(place, seals(settings, SECRET)[MASKED])
    assert (first.identity, first.output, first.report) == (offered[0].identity, b"masked", {"faces": 2})
    assert first.features["boxes"].tolist() == [[1.0] * 4] * 2
    assert second.features["x"].tolist() == [0, 1, 2]
    assert second.features["n"] == 2
    assert second.output["y"].tolist() == [[1, 0], [0, 1]]
    assert outcome(metrics, "written") == 2


def test_a_file_that_is_being_written_is_none_to_be_read(tmp_path: Path) -> None:
    place = write_captures(tmp_path, [capture()], MASKED, Seal(b"k" * 32), 100.0, 50.0)
    assert files(tmp_path, MASKED) == [place]
    incoming = place.rename(tmp_path / f".{place.name}")
    assert files(tmp_path, MASKED) == []
    assert cut_off(tmp_path) == [incoming]
    assert is_over(incoming, 151.0)
    assert not is_over(incoming, 149.0)


def test_a_file_that_was_changed_renamed_or_kept_too_long_does_not_open(tmp_path: Path) -> None:
    seal = Seal(b"k" * 32, lambda: 100.0)
    place = write_captures(tmp_path, [capture()], MASKED, seal, 100.0, 50.0)
    assert len(read_captures(place, seal)) == 1
    for other in (Seal(b"o" * 32, lambda: 100.0), Seal(b"k" * 32, lambda: 151.0)):
        with pytest.raises(Unreadable):
            read_captures(place, other)
    renamed = place.rename(tmp_path / f"1-{10**15}-00{MASKED}")
    with pytest.raises(Unreadable):
        read_captures(renamed, seal)


def test_the_name_says_when_the_time_is_over(tmp_path: Path) -> None:
    place = write_captures(tmp_path, [capture()], MASKED, Seal(b"k" * 32), 100.0, 50.0)
    assert not is_over(place, 149.9)
    assert is_over(place, 150.0)
    assert is_over(tmp_path / "strange.masked", 0.0)


@pytest.mark.usefixtures("written_at_the_end")
def test_capturing_stops_at_its_bytes_and_goes_on_when_there_is_room(settings: CaptureSettings, made) -> None:
    captures, metrics = made(most_bytes=10_000)
    for _ in range(10):
        captures.offer(capture(output=b"x" * 3_000))
    captures.close()
    assert outcome(metrics, "full") == 10
    captures, metrics = made(most_bytes=10_000)
    captures.offer(capture(output=b"x" * 3_000))
    captures.close()
    assert outcome(metrics, "written") == 1
    assert bytes_in(settings.path) <= 10_000


def test_capturing_stops_before_the_disk_is_full(settings: CaptureSettings, made) -> None:
    captures, metrics = made(reserve_bytes=shutil.disk_usage(settings.path.parent).total * 2)
    captures.offer(capture())
    captures.close()
    assert outcome(metrics, "full") == 1
    assert files(settings.path, MASKED) == []


def test_what_cannot_be_kept_is_counted_and_nothing_raised(made) -> None:
    captures, metrics = made()
    captures.offer(capture(features={"odd": object()}))
    captures.close()
    captures.offer(capture())
    assert (outcome(metrics, "failed"), outcome(metrics, "dropped")) == (1, 1)


def test_a_flood_is_dropped_not_kept_in_memory(settings: CaptureSettings) -> None:
    metrics = Metrics()
    captures = Captures(settings, metrics, SECRET)
    output = b"x" * (1 << 20)
    for _ in range(100):
        captures.offer(capture(output=output))
    assert outcome(metrics, "dropped") > 30


def test_raw_input_is_forgotten_unless_it_was_granted(settings: CaptureSettings, made) -> None:
    captures, _ = made()
    assert not captures.wants_raw("faces")
    captures.offer(capture(), raw=b"RAW")
    captures.close()
    assert files(settings.path, RAW) == []


def test_raw_input_that_was_granted_is_kept_until_the_end_of_the_grant(settings: CaptureSettings, made) -> None:
    settings.path.mkdir()
    now = 1_000_000.0
    write_leases(settings.path, {"faces": now + 50}, now)
    captures, _ = made(lambda: now)
    assert captures.wants_raw("faces")
    assert not captures.wants_raw("voices")
    captures.offer(capture(), raw=b"RAW")
    captures.offer(capture(endpoint="voices"), raw=b"RAW")
    captures.close()
    (place,) = files(settings.path, RAW)
    opened_by = seals(settings, SECRET, lambda: now)
    (read,) = read_captures(place, opened_by[RAW])
    assert (read.output, read.endpoint, read.features) == (b"RAW", "faces", {})
    assert not is_over(place, now + 49)
    assert is_over(place, now + 50)
    with pytest.raises(Unreadable):
        read_captures(place, opened_by[MASKED])


def test_a_grant_that_nobody_renews_is_void(tmp_path: Path) -> None:
    write_leases(tmp_path, {"faces": 10_000.0}, 100.0)
    leases = read_leases(tmp_path)
    assert leases.seconds_left("faces", 100.0 + LEASE_SECONDS - 1) > 0
    assert leases.seconds_left("faces", 100.0 + LEASE_SECONDS) == 0
    (tmp_path / "grants.json").write_text("[]")
    assert read_leases(tmp_path).seconds_left("faces", 100.0) == 0
    assert read_leases(tmp_path / "nowhere").ends == {}


def test_without_a_secret_a_key_is_drawn_and_kept(settings: CaptureSettings) -> None:
    captures = Captures(settings, Metrics())
    captures.open()
    captures.offer(capture())
    captures.close()
    (place,) = files(settings.path, MASKED)
    assert len(read_captures(place, seals(settings, None)[MASKED])) == 1


def test_a_disk_that_takes_nothing_is_told_of_once_and_capturing_goes_on_after(
    made: Callable[..., tuple[Captures, Metrics]], settings: CaptureSettings, caplog: pytest.LogCaptureFixture
) -> None:
    captures, metrics = made(share=1.0)
    shutil.rmtree(settings.path)
    settings.path.touch()
    for number in range(1, 4):
        captures.offer(capture())
        until(lambda number=number: outcome(metrics, "failed") == number)
    told = [record for record in caplog.records if record.message == "captures were not written"]
    assert told[0].captures == 1
    assert len(told) < 3
    assert "NotADirectoryError" in told[0].reason
    settings.path.unlink()
    settings.path.mkdir()
    captures.offer(capture())
    captures.close()
    assert outcome(metrics, "written") == 1


def test_a_folder_that_could_not_be_looked_at_keeps_no_later_capture_from_being_written(
    made: Callable[..., tuple[Captures, Metrics]],
    settings: CaptureSettings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captures_module, "LOOK_SECONDS", 0.0)
    captures, metrics = made(share=1.0)
    looped = settings.path / "looped"
    looped.symlink_to("looped")
    until(lambda: "the folder of captures cannot be looked at" in caplog.messages)
    captures.offer(capture())
    until(lambda: outcome(metrics, "written") == 1)
    captures.close()
