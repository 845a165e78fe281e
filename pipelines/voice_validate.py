"""Stage `voice_validate`: speech that breaks a rule goes no further; the message names the rule and what breaks it."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from pyarrow import ArrowException

from pipelines.params import load_params
from pipelines.voice.dataset import SPLITS
from pipelines.voice.rules import Tables, broken, gather

INGESTED: Final = Path("data/voices-ingested")
REPORT: Final = Path("reports/voice-validation.json")


def summary(tables: Tables) -> dict[str, Any]:
    """Count what passed."""
    utterances = tables["utterances"]
    of_split = {split: utterances[utterances["split"] == split] for split in SPLITS}
    counts = {
        split: {
            "speakers": int(rows["speaker"].nunique()),
            "phrases": int((rows["kind"] == "phrase").sum()),
            "words": int((rows["kind"] == "word").sum()),
        }
        for split, rows in of_split.items()
    }
    return {"passed": True, "sources": sorted(utterances["source"].unique()), "counts": counts}


def main() -> int:
    """Validate data/voices-ingested; the exit code is 1, and no report is written, where a rule is broken."""
    params = load_params().voice_validation
    REPORT.unlink(missing_ok=True)
    try:
        tables = gather(INGESTED)
    except (OSError, ArrowException, KeyError) as error:
        sys.stderr.write(f"voice_validate: {INGESTED} cannot be read: {error}\n")
        return 1
    lines = broken(tables, params)
    if lines:
        sys.stderr.writelines(f"voice_validate: {line}\n" for line in lines)
        return 1
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(summary(tables), indent=2) + "\n", encoding="utf-8")
    sys.stderr.write("voice_validate: all rules kept\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
