"""The ingested speech: one table, a row an utterance, with its sound as FLAC, as a Parquet file in a folder.

Nobody is in two splits: the model learns from `train`, attackers learn from `attack`, and seek the speakers of `test`.
"""

import hashlib
import io
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from masking.voice.types import RATE, Mono

Split = Literal["train", "attack", "test"]
Kind = Literal["phrase", "word"]

SPLITS: Final[tuple[Split, ...]] = ("train", "attack", "test")
KINDS: Final[tuple[Kind, ...]] = ("phrase", "word")
SOURCES: Final = ("procedural", "espeak", "recording")
FILE: Final = "utterances.parquet"
_FULL: Final = 32767
_ROWS_AT_ONCE: Final = 64
_TEXT: Final = pa.string()
SCHEMA: Final = pa.schema(
    [
        ("utterance_id", _TEXT),
        ("speaker", _TEXT),
        ("sex", _TEXT),
        ("split", _TEXT),
        ("kind", _TEXT),
        ("word", _TEXT),
        ("source", _TEXT),
        ("samples", pa.int64()),
        ("sound", pa.binary()),
        ("sound_sha256", _TEXT),
        ("phones", pa.list_(_TEXT)),
        ("phone_ends", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One recording of one speaker.

    Attributes:
        utterance_id: What it is called.
        speaker: Who speaks, by a name that means nothing.
        split: Whose speech it is for.
        samples: Shape (n,), float32 in [-1, 1] at 16 kHz.
        source: ``procedural``, ``espeak`` or ``recording``.
        kind: ``phrase``, or ``word`` for one word by itself.
        word: Which word, None for a phrase.
        sex: ``f`` or ``m``, None where it is not known.
        phones: Labels of what is said, where that is known.
        phone_ends: The sample after the last of each.
    """

    utterance_id: str
    speaker: str
    split: Split
    samples: Mono
    source: str
    kind: Kind = "phrase"
    word: str | None = None
    sex: str | None = None
    phones: tuple[str, ...] | None = None
    phone_ends: tuple[int, ...] | None = None


def write(folder: Path, utterances: Iterable[Utterance]) -> int:
    """Write utterances into a new folder, which takes its name only when all is written; returns how many there were.

    The same utterances in the same order give the same bytes.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    count, rows = 0, []
    try:
        with pq.ParquetWriter(partial / FILE, SCHEMA, compression="zstd") as file:
            for each in utterances:
                rows.append(_row(each))
                count += 1
                if len(rows) == _ROWS_AT_ONCE:
                    file.write_table(pa.Table.from_pylist(rows, SCHEMA))
                    rows.clear()
            if rows:
                file.write_table(pa.Table.from_pylist(rows, SCHEMA))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def read_index(folder: Path) -> pd.DataFrame:
    """Read what is known of each utterance, all columns but its sound.

    Raises:
        OSError, pyarrow.ArrowException: The file is missing or is no Parquet file.
    """
    path = folder / FILE
    columns = [name for name in pq.read_schema(path).names if name != "sound"]
    frame: pd.DataFrame = pq.ParquetFile(path).read(columns=columns).to_pandas()
    return frame


def read_sounds(folder: Path) -> Iterator[bytes]:
    """Give the stored sound of each utterance, few in memory at a time; empty where there is none."""
    for batch in pq.ParquetFile(folder / FILE).iter_batches(batch_size=_ROWS_AT_ONCE, columns=["sound"]):
        for value in batch.column(0):
            yield value.as_py() or b""


def read(folder: Path, split: Split | None = None, kind: Kind | None = None) -> Iterator[Utterance]:
    """Give the utterances of a split and a kind, or all, in their stored order."""
    for batch in pq.ParquetFile(folder / FILE).iter_batches(batch_size=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            if split in (None, row["split"]) and kind in (None, row["kind"]):
                yield _utterance(row)


def encode(samples: Mono) -> bytes:
    """Give samples as 16-bit FLAC at 16 kHz, mono."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono", format="s16")
        whole = np.round(np.clip(samples, -1, 1) * _FULL).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode(sound: bytes) -> Mono:
    """Give the samples that `encode` stored.

    Raises:
        av.error.FFmpegError: It is no sound.
        ValueError: It is not mono at 16 kHz, or has no samples.
    """
    with av.open(io.BytesIO(sound), "r", format="flac") as container:
        stream = container.streams.audio[0]
        if (stream.rate, stream.channels) != (RATE, 1):
            raise ValueError(f"{stream.channels} channels at {stream.rate} Hz, not one at {RATE}")
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(stream)]
    if not parts:
        raise ValueError("there are no samples")
    return np.asarray(np.concatenate(parts), np.float32) / np.float32(_FULL)


def _row(each: Utterance) -> dict[str, Any]:
    sound = encode(each.samples)
    names = ("utterance_id", "speaker", "sex", "split", "kind", "word", "source", "phones", "phone_ends")
    digest = hashlib.sha256(sound).hexdigest()
    return {name: getattr(each, name) for name in names} | {
        "samples": len(each.samples),
        "sound": sound,
        "sound_sha256": digest,
    }


def _utterance(row: dict[str, Any]) -> Utterance:
    known = row["phones"] is not None
    return Utterance(
        row["utterance_id"],
        row["speaker"],
        row["split"],
        decode(row["sound"]),
        row["source"],
        row["kind"],
        row["word"],
        row["sex"],
        tuple(row["phones"]) if known else None,
        tuple(row["phone_ends"]) if known else None,
    )
