"""Who plays which part in the benchmark of voices is the same every time, and nobody plays two."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.voices import LEAST_SECONDS, SOUGHT_OF_A_SEX, chosen, sexes
from masking.evaluation.voice.types import Said


def people(number: int, sex: str, seconds: float) -> list[Said]:
    samples = np.zeros(int(seconds * 16_000), np.float32)
    return [Said(f"{sex}{index}", samples, sex) for index in range(number)]


def test_as_many_of_each_sex_are_sought_and_only_who_said_enough() -> None:
    said = [*people(50, "f", 12), *people(41, "m", 11), *people(9, "x", LEAST_SECONDS - 0.1)]
    names = chosen(said)
    assert sum(name.startswith("f") for name in names) == SOUGHT_OF_A_SEX
    assert sum(name.startswith("m") for name in names) == SOUGHT_OF_A_SEX
    assert not any(name.startswith("x") for name in names)
    assert names == chosen(said)


@pytest.mark.parametrize("number", [0, 1, 34, 35, 36])
def test_nobody_is_sought_twice_where_people_are_few(number: int) -> None:
    assert len(chosen(people(number, "f", 12))) == min(number, SOUGHT_OF_A_SEX)


def test_the_table_of_speakers_gives_the_sex(tmp_path: Path) -> None:
    table = tmp_path / "SPEAKERS.TXT"
    table.write_text("; a comment\n14   | F | train-clean-360  | 25.03 | Somebody\n17 | M | dev | 1 | Else\n")
    assert sexes(table) == {"14": "f", "17": "m"}
