"""The document of figures: results are replaced by themselves, and none is lost that was not measured anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import COMMANDS, DOCUMENT, NOT_YET, PROSE, document, machine, printed, result, results

ROOT = Path(__file__).resolve().parents[2]
TEXT = "# Title\n\nOne:\n\n<!-- result: faces -->\n\nTwo:\n\n<!-- result: video -->\n\nThe end.\n"


def report(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")}
    command = [sys.executable, "-m", "benchmarks.report", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def test_every_result_has_its_place_once() -> None:
    assert list(results(document(PROSE.read_text("utf-8"), {}))) == list(COMMANDS)


def test_the_committed_document_has_the_prose_as_it_is() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert document(PROSE.read_text("utf-8"), results(text)) == text, "run: python -m benchmarks.report --only ''"


def test_a_result_is_replaced_and_the_others_stay() -> None:
    first = document(TEXT, {"faces": "old\n", "video": "kept\n\n```text\n1\n```\n"})
    second = document(TEXT.replace("Two", "Second"), {**results(first), "faces": "new\n"})
    assert results(second) == {"faces": "new\n", "video": "kept\n\n```text\n1\n```\n"}
    assert "Second:" in second
    assert "old" not in second


def test_what_was_never_measured_says_so() -> None:
    assert results(document(TEXT, {"faces": "1\n"})) == {"faces": "1\n", "video": NOT_YET + "\n"}


@pytest.mark.parametrize("told", ["recall  .9  \\1 [x]", "a\n\n  b", "```\nodd", "\n".join(map(str, range(200)))])
def test_what_is_printed_stands_there_word_for_word(told: str) -> None:
    written = document(TEXT, {"faces": result(("benchmarks.faces",), "a machine", told)})
    assert f"text\n{told}\n" in written
    assert "`python -m benchmarks.faces` on a machine" in results(written)["faces"]
    assert ("<details>" in written) == (told.count("\n") > 100)


def test_a_module_that_prints_is_measured_and_one_that_does_not_is_none() -> None:
    assert "February 2024" in (printed(("calendar", "2024", "2")) or "")
    assert printed(("calendar", "2024", "13")) is None
    assert printed(("no_such_module",)) is None
    assert printed(("compileall", "-q", str(PROSE))) is None, "it prints nothing"


def test_the_machine_is_named(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx512_vnni amx_int8\n" * 2)
    assert machine(info).endswith(" of Some CPU @ 2 GHz with avx512_vnni, amx_int8")
    info.write_text("model name\t: Some CPU\nflags\t\t: fpu\n")
    assert machine(info).endswith(" of Some CPU")
    assert "does not tell" in machine(tmp_path / "none")


def test_a_skipped_benchmark_is_told_loudly_and_keeps_its_result(tmp_path: Path) -> None:
    file = tmp_path / "figures.md"
    before = document(PROSE.read_text("utf-8"), {"privacy": "what was measured\n"})
    file.write_text(before)
    done = report("--only", "privacy", "--to", str(file))
    assert done.returncode == 1
    assert "NOT MEASURED: privacy" in done.stderr
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    done = report("--only", "faces,nonsense", "--to", str(tmp_path / "figures.md"))
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert not (tmp_path / "figures.md").exists()


def test_without_a_benchmark_the_prose_is_written(tmp_path: Path) -> None:
    file = tmp_path / "figures.md"
    assert report("--only", "", "--to", str(file)).returncode == 0
    assert set(results(file.read_text()).values()) == {NOT_YET + "\n"}
