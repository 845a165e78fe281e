"""What passes and what is refused, each fault by the name of its rule."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from masking.voice.types import Mono
from pipelines.params import VoiceValidation
from pipelines.voice.dataset import FILE, SPLITS, Utterance, write
from pipelines.voice.rules import broken, gather

PARAMS = VoiceValidation(min_speakers_per_split=1)
Change = Callable[[list[Utterance]], None]


def tone(seed: int, samples: int = 8000) -> Mono:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def good() -> list[Utterance]:
    return [
        Utterance(
            f"{split}-{i}", f"who-{split}", split, tone(i), "procedural", phones=("AA", "S"), phone_ends=(4000, 8000)
        )
        for split in SPLITS
        for i in range(2)
    ]


def lines_of(folder: Path, utterances: Sequence[Utterance]) -> list[str]:
    write(folder, utterances)
    return broken(gather(folder), PARAMS)


def test_speech_that_keeps_all_rules_passes(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "speech", good()) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("series_contains_duplicates", {"utterance_id": "train-1"}),
        ("one_split_per_speaker", {"speaker": "who-test"}),
        ("enough_utterances", {"speaker": "somebody else"}),
        ("known_values", {"source": "a film"}),
        ("known_values", {"sex": "x"}),
        ("long_enough", {"samples": tone(1, 1600), "phones": None, "phone_ends": None}),
        ("not_silent", {"samples": np.zeros(8000, np.float32)}),
        ("not_clipped", {"samples": np.sign(tone(1))}),
        ("words_are_named", {"kind": "word"}),
        ("words_are_named", {"word": "yes"}),
        ("phones_fit", {"phone_ends": (4000, 7999)}),
        ("phones_fit", {"phone_ends": (4000, 4000)}),
        ("phones_fit", {"phone_ends": None}),
    ],
)
def test_each_fault_is_named_by_its_rule(tmp_path: Path, rule: str, change: dict[str, object]) -> None:
    utterances = good()
    utterances[0] = replace(utterances[0], **change)
    lines = lines_of(tmp_path / "speech", utterances)
    assert any(line.startswith(f"{rule}: 1 of") or line.startswith(f"{rule}: 2 of") for line in lines), lines


def test_a_split_without_speakers_is_told(tmp_path: Path) -> None:
    lines = lines_of(tmp_path / "speech", [each for each in good() if each.split != "attack"])
    assert lines == ["enough_speakers: 1 of splits: attack (speakers=0)"]


@pytest.mark.parametrize(
    ("rule", "column", "value"),
    [
        ("digests_match", "sound_sha256", "0" * 64),
        ("lengths_match", "samples", 7999),
        ("sounds_decode", "sound", b"no sound"),
    ],
)
def test_a_table_that_was_changed_is_told(tmp_path: Path, rule: str, column: str, value: object) -> None:
    write(tmp_path / "speech", good())
    file = tmp_path / "speech" / FILE
    table = pq.read_table(file)
    rows = table.to_pylist()
    rows[0][column] = value
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    lines = broken(gather(tmp_path / "speech"), PARAMS)
    assert any(line.startswith(rule) and "train-0" in line for line in lines), lines


def test_a_table_of_another_form_is_told(tmp_path: Path) -> None:
    write(tmp_path / "speech", good())
    file = tmp_path / "speech" / FILE
    frame: pd.DataFrame = pq.read_table(file).to_pandas().drop(columns="sex")
    frame["more"] = 1
    pq.write_table(pa.Table.from_pandas(frame), file)
    text = " ".join(broken(gather(tmp_path / "speech"), PARAMS))
    assert "sex" in text
    assert "more" in text
