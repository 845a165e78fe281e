import os
import stat
import time
from pathlib import Path

from mlops.jobs.spool import Spool, new_identity


def test_a_folder_is_its_owners_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "jobs", 0)
    place = spool.make("one")
    assert place == spool.source("one")
    for folder in (tmp_path / "jobs", tmp_path / "jobs" / "one"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_only_what_is_named_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    spool.make("one").write_bytes(b"input")
    (spool.folder("one") / "result-1").write_bytes(b"masked")
    (spool.folder("one") / "half").mkdir()
    spool.keep_only("one", "result-1")
    assert [file.name for file in spool.folder("one").iterdir()] == ["result-1"]
    spool.remove("one")
    assert list(spool.identities()) == []
    spool.remove("one")
    spool.keep_only("one", "result-1")


def test_the_reserve_stays_free(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "jobs", 100, free_bytes=lambda _: 150)
    assert spool.has_room(50)
    assert not spool.has_room(51)


def test_the_last_write_counts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    file = spool.make("one")
    file.write_bytes(b"input")
    day_ago = time.time() - 86_400
    os.utime(spool.folder("one"), (day_ago, day_ago))
    assert spool.idle_seconds("one") < 3_600
    os.utime(file, (day_ago, day_ago))
    assert 86_000 < spool.idle_seconds("one") < 90_000


def test_names_differ() -> None:
    assert len({new_identity() for _ in range(100)}) == 100
