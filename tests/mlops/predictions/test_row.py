import os
import time
import uuid

import msgspec
import pytest

from mlops.predictions.row import made_at, new_identity


def test_names_are_version_7_uuids_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [1_700_000_000.5, 1_700_000_000.501]
    names = []
    for moment in moments:
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: round(moment * 1000) * 1_000_000)
        names.append(new_identity())
    assert names == sorted(names)
    assert {(each.version, each.variant) for each in map(uuid.UUID, names)} == {(7, uuid.RFC_4122)}
    assert [made_at(name) for name in names] == moments


def test_many_names_at_one_time_differ() -> None:
    assert len({new_identity() for _ in range(20_000)}) == 20_000


@pytest.mark.parametrize("name", ["", "x" * 32, uuid.uuid4().hex, "short"])
def test_a_name_of_another_kind_says_no_time(name: str) -> None:
    assert made_at(name) is None


def test_a_row_does_not_change(make) -> None:
    with pytest.raises(AttributeError):
        make().status = 500


def test_a_row_survives_encoding(make) -> None:
    row = make(subject="ab", shadow=True)
    assert msgspec.json.decode(msgspec.json.encode(row), type=type(row)) == row


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_gives_other_names() -> None:
    new_identity()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_identity().encode())
        os._exit(0)
    mine = new_identity()
    os.waitpid(child, 0)
    its = os.read(reading, 64).decode()
    os.close(reading)
    os.close(writing)
    assert len(its) == 32
    assert mine[12:] != its[12:]
