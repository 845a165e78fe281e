"""The table of the voice models that shipped only grows, and reads as it was written."""

import math
from pathlib import Path

import pytest

from pipelines.voice.history import NAME, append, read

ROOT = Path(__file__).resolve().parents[3]
STRONG = {"eer": 0.35, "eer_low": 0.3, "eer_high": 0.4, "rank1": 0.09, "words": 0.85, "dnsmos": 2.8, "people": 70}
FIGURES = {"none": {**STRONG, "eer": 0.02}, "strong": STRONG}


def test_versions_are_numbered_and_what_stood_there_stays(tmp_path: Path) -> None:
    table = tmp_path / NAME
    assert read(table) == []
    assert append(table, FIGURES, "ab" * 32, "the first, with a comma") == 1
    before = table.read_text()
    assert append(table, FIGURES, "cd" * 32, "another") == 2
    assert table.read_text().startswith(before)
    rows = read(table)
    assert [(row.version, row.masker, row.eer) for row in rows] == [
        (1, "none", 0.02),
        (1, "strong", 0.35),
        (2, "none", 0.02),
        (2, "strong", 0.35),
    ]
    assert (rows[0].graph, rows[0].changed, rows[0].people) == ("abababababab", "the first, with a comma", 70)
    assert math.isnan(rows[0].words_cnn), "no such judge was asked"
    assert rows[0].dnsmos == 2.8


@pytest.mark.parametrize("lost", ["eer", "eer_low", "rank1", "words", "people"])
def test_a_figure_that_is_missing_is_an_error_and_nothing_is_written(lost: str, tmp_path: Path) -> None:
    figures = {"strong": {name: value for name, value in STRONG.items() if name != lost}}
    with pytest.raises(ValueError, match=lost):
        append(tmp_path / NAME, figures, "ab" * 32, "nothing")
    assert not (tmp_path / NAME).exists()


def test_a_table_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    append(tmp_path / NAME, FIGURES, "ab" * 32, "the first")
    text = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(text.replace("0.35", "much"))
    with pytest.raises(ValueError, match="much"):
        read(tmp_path / NAME)


def test_what_shipped_can_be_read() -> None:
    rows = read(ROOT / "models/voice" / NAME)
    newest = max(row.version for row in rows)
    assert {"none", "mcadams", "disguise", "one-voice", "strong"} <= {r.masker for r in rows if r.version == newest}
    assert all(row.eer_low <= row.eer <= row.eer_high for row in rows)
