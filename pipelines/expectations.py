"""The gate on the data as a whole: a Great Expectations checkpoint, and its Data Docs as pages that need no network.

Its own expectations say all but what pixels and joins tell; those are columns of the frames (pipelines/facts.py).
Everything it keeps lies in memory or a temporary folder; only the Data Docs stay.
"""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pandas as pd

with warnings.catch_warnings():
    # Great Expectations 1.24 imports two modules of the standard library that are deprecated since Python 3.11.
    warnings.filterwarnings("ignore", "module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
    import great_expectations as gx
    from great_expectations import expectations as gxe
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult, RunIdentifier
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
    from great_expectations.expectations.expectation import Expectation

from pipelines.data_docs import take_offline
from pipelines.facts import Frames, key
from pipelines.params import Validation
from pipelines.rules import RULES, Finding, found

NAME: Final = "ingested"
# A value that is missing is the schema's matter; GX 1.24 fails to compare it.
NEITHER: Final = "either_value_is_missing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the checkpoint found, and the names of the rules that there were rows to check on."""

    findings: tuple[Finding, ...]
    rules: tuple[str, ...]


def check(frames: Frames, params: Validation, docs: Path) -> Outcome:
    """Run the checkpoint and write its Data Docs to ``docs``, made anew.

    Raises:
        NotOffline: A page of the Data Docs would load something from elsewhere.
    """
    suites = {name: suite for name, suite in _suites(params).items() if len(getattr(frames, name))}
    with TemporaryDirectory() as folder:
        site = Path(folder) / "docs"
        context = _context(site)
        checkpoint = _checkpoint(context, Path(folder), frames, suites)
        results = checkpoint.run(run_id=RunIdentifier(run_name=NAME)).run_results.values()
        context.build_data_docs()
        take_offline(site)
        shutil.rmtree(site / "static", ignore_errors=True)  # pictures that no page shows any more
        shutil.rmtree(docs, ignore_errors=True)
        docs.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site, docs)
    findings = [finding for each in results for finding in _findings(frames, each)]
    checked = {
        one.expectation_config.meta["rule"]
        for each in results
        for one in each.results
        if one.result.get("element_count", 0) > one.result.get("missing_count", 0)
    }
    return Outcome(tuple(findings), tuple(rule for rule in RULES if rule in checked))


def _suites(params: Validation) -> dict[str, list[Expectation]]:
    return {
        "manifest": [
            _unique("face_id"),
            *_boxes(),
            _true("faces_have_images", "image_found"),
            *(_same("image_sizes_match", f"image_{side}", f"stored_{side}") for side in ("width", "height")),
            _same("image_digests_match", "image_sha256", "stored_sha256"),
            _same("splits_agree", "split", "stored_split"),
            _true("identities_agree", "identity_agrees"),
            _same("one_split_per_identity", "split", "home_split"),
            _at_least("faces_large_enough", "face_side", params.min_face_px, params.large_face_share),
        ],
        "images": [
            _unique("image_id"),
            _true("images_decode", "decodes"),
            _at_least("images_not_empty", "pixel_std", params.min_pixel_std),
            *(_same("image_sizes_match", side, f"decoded_{side}") for side in ("width", "height")),
            _same("face_counts_match", "n_faces", "faces_listed"),
            _same("one_split_per_picture", "split", "home_split"),
        ],
        "identities": [_at_least("enough_captures", "captures", params.min_captures)],
        "sets": [
            _at_least("enough_identities", "identities", params.min_identities_per_split),
            _at_least("enough_scenes", "scenes", params.min_scenes),
            _at_least("enough_faces", "faces", 1),
        ],
    }


def _expect(kind: type[Expectation], rule: str, holds: str, **values: object) -> Expectation:
    """Give an expectation that Data Docs show by the name of its rule, what it means, and what must hold for it."""
    return kind(description=f"{rule}: {RULES[rule].meaning} ({holds})", meta={"rule": rule}, **values)


def _unique(column: str) -> Expectation:
    return _expect(gxe.ExpectColumnValuesToBeUnique, "unique_ids", f"each {column} once", column=column)


def _true(rule: str, column: str) -> Expectation:
    return _expect(gxe.ExpectColumnValuesToBeInSet, rule, f"{column} is true", column=column, value_set=[True])


def _at_least(rule: str, column: str, least: float, share: float = 1.0) -> Expectation:
    holds = f"{column} >= {least:g}" + (f" in {share:.0%} of the rows" if share < 1 else "")
    kind = gxe.ExpectColumnValuesToBeBetween
    return _expect(kind, rule, holds, column=column, min_value=least, mostly=share)


def _same(rule: str, left: str, right: str) -> Expectation:
    kind, pair = gxe.ExpectColumnPairValuesToBeEqual, {"column_A": left, "column_B": right}
    return _expect(kind, rule, f"{left} = {right}", **pair, ignore_row_if=NEITHER)


def _more(rule: str, left: str, right: str, or_equal: bool) -> Expectation:
    kind, pair = gxe.ExpectColumnPairValuesAToBeGreaterThanB, {"column_A": left, "column_B": right}
    holds = f"{left} {'>=' if or_equal else '>'} {right}"
    return _expect(kind, rule, holds, **pair, or_equal=or_equal, ignore_row_if=NEITHER)


def _boxes(rule: str = "boxes_inside_image") -> list[Expectation]:
    ends = [("image_width", "x2", True), ("image_height", "y2", True), ("x2", "x1", False), ("y2", "y1", False)]
    return [*(_at_least(rule, corner, 0) for corner in ("x1", "y1")), *(_more(rule, *end) for end in ends)]


def _context(site: Path) -> EphemeralDataContext:
    """Give a context that keeps all in memory but the pages, which go to ``site``."""
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    pages = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": store}
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={NAME: pages | {"site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}}},
        progress_bars={"globally": False},
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _checkpoint(
    context: EphemeralDataContext, folder: Path, frames: Frames, suites: dict[str, list[Expectation]]
) -> gx.Checkpoint:
    source = context.data_sources.add_pandas(NAME)
    definitions = []
    for name, expectations in suites.items():
        frame: pd.DataFrame = getattr(frames, name)
        frame.to_parquet(folder / f"{name}.parquet")
        asset = source.add_parquet_asset(name, path=folder / f"{name}.parquet")
        data = asset.add_batch_definition_whole_dataframe("all")
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        definition = gx.ValidationDefinition(name=name, data=data, suite=suite)
        definitions.append(context.validation_definitions.add(definition))
    return context.checkpoints.add(
        gx.Checkpoint(
            name=NAME,
            validation_definitions=definitions,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["key", "name"],
                "return_unexpected_index_query": False,
            },
        )
    )


def _findings(frames: Frames, result: ExpectationSuiteValidationResult) -> list[Finding]:
    table = str(result.suite_name)
    frame: pd.DataFrame = getattr(frames, table).set_index("key", drop=False)
    findings = []
    for each in result.results:
        rule = str(each.expectation_config.meta["rule"])
        rows = each.result.get("unexpected_index_list") or []
        if not each.success and not rows:
            # A rule that could not be checked is not kept.
            findings.append(Finding(rule, key(table, "?"), f"{table} could not be checked: {_reason(each)}"))
        if not each.success:
            named = (frame.loc[row["key"]] for row in rows)
            findings += [found(rule, table, row["name"], str(row["key"]), row.to_dict()) for row in named]
    return findings


def _reason(result: ExpectationValidationResult) -> str:
    causes = [result.exception_info, *(each for each in result.exception_info.values() if isinstance(each, dict))]
    messages = (str(each["exception_message"]) for each in causes if each.get("exception_message"))
    return "; ".join(dict.fromkeys(messages)) or "no reason was given"
