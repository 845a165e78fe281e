"""The file that says who gets which version."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.registry.bundle import point
from mlops.rollout.traffic import (
    Split,
    SplitError,
    Variant,
    effective,
    read_split,
    remove_split,
    stamp,
    write_split,
)

MODEL = "some-model"
ONE, TWO = "a" * 64, "b" * 64


def split(weight: float = 0.1, **others: Any) -> Split:
    champion = Variant("champion", "1", ONE, 1 - weight)
    return Split(MODEL, (champion, Variant("challenger", "2", TWO, weight)), **others)


def test_a_split_is_read_as_it_was_written(tmp_path: Path) -> None:
    policies = Variant("champion", "1", ONE, 0.5, policy={"threshold": 0.3, "style": "blur"})
    written = Split(
        MODEL,
        (policies, Variant("challenger", "2", TWO, 0.5), Variant("dark", "3", TWO, 0.0, shadow=True)),
        salt="salt",
        release="r",
        rolling=0.5,
    )
    assert read_split(tmp_path, MODEL) is None
    write_split(tmp_path, written)
    assert read_split(tmp_path, MODEL) == written
    assert [path.name for path in (tmp_path / MODEL).iterdir()] == ["traffic.json"]
    remove_split(tmp_path, MODEL)
    remove_split(tmp_path, MODEL)
    assert read_split(tmp_path, MODEL) is None


def test_without_a_champion_nothing_holds(tmp_path: Path) -> None:
    write_split(tmp_path, split())
    assert effective(tmp_path, MODEL) is None
    assert stamp(tmp_path, MODEL) is None


def test_a_split_holds_as_long_as_its_champion_is_champion(tmp_path: Path) -> None:
    point_at(tmp_path, "1", ONE)
    assert effective(tmp_path, MODEL) == Split.whole(MODEL, "1", ONE)
    write_split(tmp_path, split())
    assert effective(tmp_path, MODEL) == split()
    point_at(tmp_path, "2", TWO)
    assert effective(tmp_path, MODEL) == Split.whole(MODEL, "2", TWO)
    point_at(tmp_path, "1", TWO)
    assert effective(tmp_path, MODEL) == Split.whole(MODEL, "1", TWO)
    point_at(tmp_path, "1", ONE)
    assert effective(tmp_path, MODEL) == split()


def test_the_stamp_changes_with_pointer_and_split(tmp_path: Path) -> None:
    seen = []
    point_at(tmp_path, "1", ONE)
    seen.append(stamp(tmp_path, MODEL))
    write_split(tmp_path, split())
    seen.append(stamp(tmp_path, MODEL))
    assert stamp(tmp_path, MODEL) == seen[-1]
    write_split(tmp_path, split(0.2))
    seen.append(stamp(tmp_path, MODEL))
    point_at(tmp_path, "2", TWO)
    seen.append(stamp(tmp_path, MODEL))
    assert None not in seen
    assert len(set(seen)) == 4
    remove_split(tmp_path, MODEL)
    assert stamp(tmp_path, MODEL) != seen[-1]


@pytest.mark.parametrize("file", ["champion.json", "traffic.json"])
def test_the_stamp_changes_though_time_and_number_of_a_file_stay(tmp_path: Path, file: str) -> None:
    """So it is where files are replaced twice within a moment: times are coarse, and numbers are used again."""
    point_at(tmp_path, "1", ONE)
    write_split(tmp_path, split())
    before, place = stamp(tmp_path, MODEL), tmp_path / MODEL / file
    status = place.stat()
    place.write_text(place.read_text().replace(ONE, TWO))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stamp(tmp_path, MODEL) != before


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"schema": 2}',
        '{"schema": 1}',
        '{"schema": 1, "model": "some-model", "variants": []}',
        '{"schema": 1, "model": "some-model", "variants": 3}',
        '{"schema": 1, "model": "some-model", "variants": [{"name": "champion"}]}',
        '{"schema": 1, "strange": 1, "model": "some-model", "variants": []}',
    ],
)
def test_a_damaged_split_is_an_error_and_not_a_missing_one(tmp_path: Path, damage: str) -> None:
    point_at(tmp_path, "1", ONE)
    (tmp_path / MODEL / "traffic.json").write_text(damage)
    with pytest.raises(SplitError):
        read_split(tmp_path, MODEL)
    with pytest.raises(SplitError):
        effective(tmp_path, MODEL)


def test_every_cut_through_the_file_is_an_error(tmp_path: Path) -> None:
    write_split(tmp_path, split())
    file = tmp_path / MODEL / "traffic.json"
    whole = file.read_text()
    for length in range(0, len(whole.rstrip()) - 1, 7):
        file.write_text(whole[:length])
        with pytest.raises(SplitError):
            read_split(tmp_path, MODEL)


def test_weights_in_the_file_that_make_no_sense_are_an_error(tmp_path: Path) -> None:
    write_split(tmp_path, split())
    file = tmp_path / MODEL / "traffic.json"
    read = json.loads(file.read_text())
    read["variants"][1]["weight"] = 0.9
    file.write_text(json.dumps(read))
    with pytest.raises(SplitError, match="sum to 1"):
        read_split(tmp_path, MODEL)


@pytest.mark.parametrize(
    ("variants", "told"),
    [
        ((), "variants"),
        ((Variant("champion", "1", ONE, 0.5), Variant("champion", "2", TWO, 0.5)), "name"),
        ((Variant("champion", "1", ONE, 0.9), Variant("dark", "2", TWO, 0.1, shadow=True)), "shadow"),
        ((Variant("champion", "1", ONE, 1.5), Variant("challenger", "2", TWO, -0.5)), "share"),
        ((Variant("champion", "1", ONE, 0.5),), "sum"),
    ],
)
def test_a_split_that_makes_no_sense_cannot_be_made(variants: tuple[Variant, ...], told: str) -> None:
    with pytest.raises(SplitError, match=told):
        Split(MODEL, variants)


@given(st.floats(0, 1), st.text(max_size=20))
def test_any_two_shares_that_sum_to_one_make_a_split(weight: float, salt: str) -> None:
    made = split(weight, salt=salt)
    assert made.champion.name == "champion"
    assert made.named("challenger") == made.variants[1]
    assert made.named("nobody") is None


def test_a_shadow_answers_to_no_name() -> None:
    dark = Variant("dark", "2", TWO, 0.0, shadow=True)
    assert Split(MODEL, (Variant("champion", "1", ONE, 1.0), dark)).named("dark") is None


def point_at(root: Path, version: str, digest: str) -> None:
    (root / MODEL).mkdir(exist_ok=True)
    point(root, MODEL, version, digest)
