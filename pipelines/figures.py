"""`make metrics`: the figures of the last evaluations, a line each; `dvc metrics show` has them in one row."""

import json
import sys
from pathlib import Path

from mlops.rollout.gate import flatten

METRICS = Path("reports/metrics/evaluation.json")
VOICE_METRICS = Path("reports/metrics/voice.json")


def main() -> int:
    """Print the figures; the exit code is 1 where nothing was evaluated yet."""
    if not METRICS.is_file():
        sys.stderr.write("nothing was evaluated yet: `make repro` runs the pipeline\n")
        return 1
    flat = flatten(json.loads(METRICS.read_text(encoding="utf-8")))
    if VOICE_METRICS.is_file():
        flat |= flatten(json.loads(VOICE_METRICS.read_text(encoding="utf-8")), "voice.")
    width = max(map(len, flat))
    sys.stdout.writelines(f"{name:{width}}  {value:.4g}\n" for name, value in flat.items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
