"""Stage `validate`: data that break a rule go no further; the message names the rule and the rows that break it."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import ArrowException

from pipelines.expectations import check
from pipelines.facts import SPLITS, Tables, gather, read_tables
from pipelines.params import Validation, load_params
from pipelines.rules import RULES, Finding, report
from pipelines.schemas import SCHEMA_RULES, STRUCTURE, schema_findings

INGESTED = Path("data/ingested")
REPORT = Path("reports/validation.json")
DOCS = Path("reports/data-docs")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What validation found.

    Attributes:
        findings: Rows that break rules; none where the data pass.
        summary: Counts and the rules that were checked.
    """

    findings: tuple[Finding, ...]
    summary: dict[str, Any]


def validate(folder: Path, params: Validation, docs: Path) -> Verdict:
    """Hold the data in ``folder`` against all rules; Data Docs are written to ``docs``.

    The rules of the set need columns to stand on: where tables do not have the structure of their schemas, only the
    schemas are checked, and there are no Data Docs.
    """
    tables = read_tables(folder)
    findings = schema_findings(tables)
    checked = {"schema": [rule for rule in RULES if rule in SCHEMA_RULES], "set": []}
    if not STRUCTURE & {finding.rule for finding in findings}:
        outcome = check(gather(folder, tables), params, docs)
        findings += outcome.findings
        checked["set"] = list(outcome.rules)
    return Verdict(tuple(findings), _summary(tables, checked) if not findings else {})


def _summary(tables: Tables, checked: dict[str, list[str]]) -> dict[str, Any]:
    manifest, crops = tables.manifest, tables.crops
    counts = {
        split: {
            "faces": int((manifest["split"] == split).sum()),
            "crops": int((crops["split"] == split).sum()),
            "scenes": int((tables.scenes["split"] == split).sum()),
            "identities": int(crops.loc[crops["split"] == split, "identity"].nunique()),
        }
        for split in SPLITS
    }
    return {
        "passed": True,
        "counts": counts,
        "rules": {
            name: {"meaning": rule.meaning, "checked_on": [where for where, rules in checked.items() if name in rules]}
            for name, rule in RULES.items()
        },
    }


def main() -> int:
    """Validate data/ingested; the exit code is 1, and no report is written, where a rule is broken."""
    params = load_params().validation
    REPORT.unlink(missing_ok=True)
    shutil.rmtree(DOCS, ignore_errors=True)
    try:
        verdict = validate(INGESTED, params, DOCS)
    except (OSError, ArrowException) as error:
        sys.stderr.write(f"validate: {INGESTED} cannot be read: {error}\n")
        return 1
    if verdict.findings:
        sys.stderr.writelines(f"validate: {line}\n" for line in report(verdict.findings))
        return 1
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(verdict.summary, indent=2) + "\n", encoding="utf-8")
    kept = sum(bool(rule["checked_on"]) for rule in verdict.summary["rules"].values())
    sys.stderr.write(f"validate: {kept} rules kept; Data Docs are in {DOCS}/index.html\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
