import json
import os
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from mlops.predictions import duck
from mlops.predictions.analysis import NoAnswer, ask, write_parquet
from mlops.predictions.lake import TABLES
from mlops.predictions.question import Ask
from mlops.predictions.settings import SqlSettings
from tests.patience import PATIENCE_SECONDS

SETTINGS = SqlSettings(most_rows=5, seconds=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlops.predictions.row import Prediction

    root = tmp_path_factory.mktemp("lake")
    rows = [
        Prediction(f"{n:032x}", 1_700_000_000.5 + n, "faces", "m", "1", "champion", "", "", "", "ok", 200, 0.01 * n,
                   {"detect": 0.5}, {"faces": float(n)}, "miss")
        for n in range(20)
    ]  # fmt: skip
    lines = root / "lines"
    lines.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    write_parquet("predictions", lines, root / "predictions" / "hour=2023-11-14T22" / "part-0-1.parquet")
    lines.unlink()
    (root.parent / "secret.csv").write_text("a\n1\n")
    return root


def test_rows_are_there_with_their_types(lake: Path) -> None:
    table = ask("select * from predictions order by time limit 1", lake, SETTINGS)
    assert table.columns == list(TABLES["predictions"])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["time"] == "2023-11-14T22:13:20.500000"
    assert (row["stages"], row["counts"], row["shadow"]) == ({"detect": 0.5}, {"faces": 0.0}, False)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select count(*), sum(counts['faces']) from predictions", [[20, 190.0]]),
        ("from features", []),
        ("select table_name from information_schema.tables order by 1", [["features"], ["predictions"], ["results"]]),
        ("select 'nan'::double, 1.5::decimal(4,2), date '2020-01-02', '\\xFF'::blob", None),
        ("with a as (select 1 as x) select x from a -- a comment", [[1]]),
    ],
)
def test_questions(lake: Path, query: str, rows: list[list[object]] | None) -> None:
    table = ask(query, lake, SETTINGS)
    json.dumps(table.rows, allow_nan=False)
    if rows is not None:
        assert table.rows == rows


def documented() -> list[str]:
    text = (Path(__file__).resolve().parents[3] / "docs/predictions.md").read_text("utf-8")
    return re.findall(r'^masker sql "(.*)"$', text, re.MULTILINE)


def test_the_questions_of_the_documentation_are_answered(lake: Path) -> None:
    assert len(documented()) >= 3
    for query in documented():
        duck.ask(Ask(str(lake), query, 5, PATIENCE_SECONDS))


def test_rows_are_limited(lake: Path) -> None:
    table = ask("select identity from predictions order by 1", lake, SETTINGS)
    assert (len(table.rows), table.truncated) == (5, True)
    table = ask("select identity from predictions order by 1 limit 5", lake, SETTINGS)
    assert (len(table.rows), table.truncated) == (5, False)


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{lake}/out.csv'",
        "copy predictions to '{lake}/out.parquet'",
        "export database '{lake}/out'",
        "attach '{lake}/out.db'",
        "create table t as select 1",
        "drop view predictions",
        "insert into predictions select * from predictions",
        "with x as (insert into predictions select * from predictions returning 1) select * from x",
        "select 1; copy (select 1) to '{lake}/out.csv'",
        "explain analyze copy (select 1) to '{lake}/out.csv'",
        "select * from query('copy (select 1) to ''{lake}/out.csv''')",
        "set enable_external_access = true",
        "pragma database_list",
        "install httpfs",
        "load httpfs",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('{lake}/../secret.csv')",
        "select * from read_csv('{secret}')",
        "select * from glob('/etc/*')",
        "select * from '{secret}'",
        "select * from read_parquet('http://127.0.0.1:1/x.parquet')",
        "select * from read_csv('s3://bucket/x.csv')",
        "select * from sniff_csv('{secret}')",
        "select getenv('HOME')",
        "select",
        "",
        "no sql at all",
        "select now()",
    ],
)
def test_what_is_refused_changes_and_shows_nothing(lake: Path, query: str) -> None:
    before = sorted(place.name for place in lake.rglob("*"))
    with pytest.raises(duck.QueryError) as refused:
        duck.ask(Ask(str(lake), query.format(lake=lake, secret=lake.parent / "secret.csv"), 5, PATIENCE_SECONDS))
    assert sorted(place.name for place in lake.rglob("*")) == before
    assert "root:" not in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "with recursive r as (select 1 i union all select i + 1 from r) select count(*) from r",
        "select count(*) from range(1000000) a, range(1000000) b where a.range < b.range",
    ],
)
def test_what_takes_too_long_ends(lake: Path, query: str) -> None:
    with pytest.raises(NoAnswer, match=r"longer than 0.3 s|[Mm]emory"):
        ask(query, lake, SqlSettings(most_rows=5, seconds=0.3))


def test_what_has_no_time_left_ends_though_it_has_not_begun(lake: Path) -> None:
    with pytest.raises(duck.QueryError, match="longer than 0 s"):
        # It would take half a minute: whoever is to end it may come late.
        duck.ask(Ask(str(lake), "select count(*) from range(10000000000) a where a.range % 7 = 1", 5, 0.0))


def test_what_takes_too_much_memory_ends(lake: Path) -> None:
    with pytest.raises(NoAnswer):
        ask("select list(repeat('x', 1000)||range) from range(5000000)", lake, SqlSettings(most_rows=5, seconds=20))


@pytest.mark.parametrize(
    "query",
    [
        "select range(1000000000)",
        "select repeat('x', 1000000) from range(3000)",
        "select sum(x) from (select unnest(range(1000000000)) x)",
    ],
)
def test_what_duckdb_does_not_count_is_bounded_too(lake: Path, query: str) -> None:
    with pytest.raises(NoAnswer, match=r"(?i)memory"):
        ask(query, lake, SqlSettings(most_rows=100_000, seconds=PATIENCE_SECONDS))


def test_an_answer_that_is_too_large_to_hold_is_refused(lake: Path) -> None:
    with pytest.raises(NoAnswer, match="more than 32 MiB"):
        ask("select repeat('x', 1000000) from range(40)", lake, SqlSettings(most_rows=100, seconds=PATIENCE_SECONDS))


def test_lines_that_are_no_rows_make_no_file(lake: Path, tmp_path: Path) -> None:
    lines, place = tmp_path / "lines", tmp_path / "x" / "out.parquet"
    lines.write_text('{"time": "soon"}\n')
    with pytest.raises(NoAnswer):
        write_parquet("predictions", lines, place)
    assert not place.exists()


def test_an_empty_lake_has_its_tables(tmp_path: Path) -> None:
    assert ask("select count(*) from results", tmp_path, SETTINGS).rows == [[0]]


def test_an_hour_may_become_a_whole_while_a_question_is_asked(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = next(lake.rglob("part-*.parquet"))
    hour = tmp_path / "lake" / "predictions" / "hour=2023-11-14T22"
    hour.mkdir(parents=True)
    part, look = hour / "part-0-1.parquet", os.listdir
    shutil.copyfile(made, part)

    def becoming_whole(folder: str | Path) -> list[str]:
        found = look(folder)
        if part.name in found and part.exists():
            shutil.copyfile(made, hour / "whole-20.parquet")
            part.unlink()
        return found

    monkeypatch.setattr(os, "listdir", becoming_whole)
    query = "select count(*) from predictions"
    assert duck.ask(Ask(str(tmp_path / "lake"), query, 5, PATIENCE_SECONDS)).rows == [[20]]
    assert not part.exists()


def test_a_file_that_is_damaged_stays_an_error(lake: Path, tmp_path: Path) -> None:
    hour = tmp_path / "lake" / "predictions" / "hour=2023-11-14T22"
    hour.mkdir(parents=True)
    (hour / "part-0-1.parquet").write_bytes(b"no Parquet at all")
    with pytest.raises(NoAnswer, match=r"part-0-1\.parquet"):
        ask("select count(*) from predictions", tmp_path / "lake", SETTINGS)
