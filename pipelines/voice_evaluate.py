"""Stage `voice_evaluate`: what attackers who learn anew still tell behind the candidate, and what listeners understand.

The base model is measured beside it in the same run, on the same speech: that is what the gate compares.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from masking.voice.loading import load_voice
from mlops.registry.bundle import open_bundle
from pipelines.figures import VOICE_METRICS
from pipelines.params import load_params
from pipelines.voice.dataset import read
from pipelines.voice.measuring import measure
from pipelines.voice.plots import draw_trade_off

INGESTED: Final = Path("data/voices-ingested")
BUNDLES: Final = {"base": Path("data/voice-base"), "candidate": Path("data/voice-model")}
PLOTS: Final = Path("reports/voice-plots")


def main() -> None:
    """Evaluate the candidate and the base on data/voices-ingested."""
    params = load_params().voice_evaluate
    models = {name: load_voice(open_bundle(folder, name)) for name, folder in BUNDLES.items()}
    attack, test = list(read(INGESTED, "attack")), list(read(INGESTED, "test"))
    figures = measure(models, attack, test, list(read(INGESTED, "train", "word")), params)
    VOICE_METRICS.parent.mkdir(parents=True, exist_ok=True)
    VOICE_METRICS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    PLOTS.mkdir(parents=True, exist_ok=True)
    draw_trade_off(figures, PLOTS / "privacy_and_words.svg")
    sys.stderr.write(summary(figures))


def summary(figures: dict[str, Any]) -> str:
    """Say in a few lines what the figures are."""
    people = "procedural" if figures["on_procedural_speakers"] else "recorded"
    judge = "valid" if figures["valid"] else f"NOT VALID ({figures['reason']}): its figures prove nothing"
    lines = [f"voice_evaluate: the judge of privacy is {judge}, on {people} speakers"]
    for name in ("none", "mcadams", *BUNDLES):
        each = figures.get(name, {})
        told = [f"{key} {each[key]:.3f}" for key in ("eer", "rank1", "words") if key in each]
        lines.append(f"voice_evaluate: {name}: {', '.join(told) or 'not measured'}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
