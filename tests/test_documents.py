"""What the documents point at is there: links, headings, files of the code, and every decision in the index."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from cli.app import app
from mlops.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
ROOM = re.compile(r"(masking|mlops|pipelines|services|cli|configs|grafana|benchmarks|tests|docs|models)/")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")])
LIVING = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)
SPAN = re.compile(r"`([\w./*-]+)`")
SETTING = re.compile(r"`(\w+)\.(?!py`)(\w+)`")
COMMAND = re.compile(r"^(?:\./)?masker ((?:.*\\\n)*.*)$", re.MULTILINE)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
VARIABLE = re.compile(r"\bMASKER_([A-Z]+)__([A-Z_]+[A-Z])")


@cache
def anchors(document: Path) -> frozenset[str]:
    """The names that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", document.read_text("utf-8")), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings)


def named(text: str) -> set[str]:
    """Files and folders of the code that a text names in backticks."""
    return {span for span in SPAN.findall(text) if ROOM.match(span)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", document.read_text("utf-8"))):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, heading = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (heading and heading not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", LIVING, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_of_the_code_that_are_named_are_there(document: Path) -> None:
    gone = [name for name in sorted(named(document.read_text("utf-8"))) if not any(ROOT.glob(name.rstrip("/")))]
    assert gone == []


@pytest.mark.parametrize("document", LIVING, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_that_are_named_can_be_set(document: Path) -> None:
    text = document.read_text("utf-8")
    fields = {name: getattr(field.annotation, "model_fields", None) for name, field in Settings.model_fields.items()}
    sections = {name: names for name, names in fields.items() if names}
    found = [(s, n) for s, n in SETTING.findall(text) if s in sections]
    found += [(s.lower(), n.lower()) for s, n in VARIABLE.findall(text)]
    assert [f"{s}.{n}" for s, n in found if s not in sections or n not in sections[s]] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(LINK.findall((folder / "README.md").read_text("utf-8")))
    assert listed >= {path.name for path in folder.glob("[0-9]*.md")}


def understand(command: TyperCommand | TyperGroup, words: list[str]) -> None:
    """Parse the words of a command line, down to its last command, and run nothing."""
    context = command.make_context("masker", words)
    if isinstance(command, TyperGroup):
        _, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        understand(below, rest)


@pytest.mark.parametrize("document", LIVING, ids=lambda path: str(path.relative_to(ROOT)))
def test_command_lines_that_are_written_out_are_understood(document: Path) -> None:
    blocks = "".join(SHELL.findall(document.read_text("utf-8")))
    for line in COMMAND.findall(blocks):
        words = shlex.split(line.replace("\\\n", ""), comments=True)
        ends = (index for index, word in enumerate(words) if word[0] in "<>|")
        understand(typer.main.get_command(app), words[: next(ends, len(words))])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_figures_of_voices_are_those_that_were_measured() -> None:
    benchmarks, told = ((ROOT / "docs" / name).read_text("utf-8") for name in ("benchmarks.md", "voices.md"))
    block = re.search(r"<!-- result: voice -->.*?```text\n(.*?)\n\n", benchmarks, re.DOTALL)
    assert block is not None
    measured = {}
    for line in block[1].splitlines()[2:]:
        style, error, named, _, _, own, cnn, sphinx, quality, *_ = cells(line)
        measured[style] = [error[: error.index("]") + 1], named, own, cnn, sphinx, quality]
    first = {"no mask": "none", "McAdams, for comparison": "mcadams"}
    first["`strong` with a codebook instead of the network"] = "strong/codebook"
    rows = [cells(line) for line in told.splitlines() if re.match(r"\| .*\[\d", line) and "%" not in line]
    assert {first.get(name, name.strip("`")): figures for name, *figures in rows} == measured
