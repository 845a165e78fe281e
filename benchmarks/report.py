"""Run the benchmarks one after the other and write what they print, with how to read it, into docs/benchmarks.md.

`python -m benchmarks.report [--only faces,video] [--to FILE]`. The prose is benchmarks/report.md; a line
`<!-- result: NAME -->` in it stands for a result. A benchmark that was not asked for, fails or is skipped keeps the
result that the document has; in the two latter cases the exit code is 1. `--only ""` runs none and writes the prose
anew.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PROSE: Final = Path(__file__).with_suffix(".md")
DOCUMENT: Final = ROOT / "docs/benchmarks.md"
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "faces": ("benchmarks.faces",),
    "kept": ("benchmarks.kept",),
    "photo": ("benchmarks.photo",),
    "privacy": ("benchmarks.privacy",),
    "video": ("benchmarks.video",),
    "untouched": ("benchmarks.untouched",),
    "live": ("benchmarks.live",),
    "voice": ("benchmarks.voice", "--copies", "1", "--only", "strong,strong/codebook,one-voice,disguise"),
    "serving": ("benchmarks.serving",),
    "predictions": ("benchmarks.predictions",),
    "experiments": ("benchmarks.experiments",),
    "guard": ("benchmarks.guard",),
    "evaluation": ("pipelines.figures",),
}
"""The module that each result comes from, with its arguments."""
FOLD_LINES: Final = 80
"""Longer results are folded away."""
NOT_YET: Final = "Not measured yet."
_PLACE: Final = re.compile(r"^<!-- result: (\w+) -->\n", re.MULTILINE)
_RESULT: Final = re.compile(r"^<!-- result: (\w+) -->\n(.*?)^<!-- end of result -->\n", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Run what was asked for; the document is written after each, so that an interrupt keeps what is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Write docs/benchmarks.md.")
    parser.add_argument("--only", help=f"names with commas between them: {','.join(COMMANDS)}; '' runs none")
    parser.add_argument("--to", type=Path, default=DOCUMENT, help="another document than docs/benchmarks.md")
    wish = parser.parse_args()
    asked = list(COMMANDS) if wish.only is None else [name for name in wish.only.split(",") if name]
    if strange := set(asked) - set(COMMANDS):
        parser.error(f"no such benchmark: {', '.join(sorted(strange))}")
    kept = results(wish.to.read_text("utf-8")) if wish.to.exists() else {}
    prose, missed = PROSE.read_text("utf-8"), []
    write(wish.to, document(prose, kept))
    for name in asked:
        told = printed(COMMANDS[name])
        if told is None:
            missed.append(name)
            sys.stderr.write(f"\n!!! NOT MEASURED: {name} failed or was skipped; its old result stays\n\n")
        else:
            kept[name] = result(COMMANDS[name], machine(), told)
            write(wish.to, document(prose, kept))
    if missed:
        sys.stderr.write(f"!!! {wish.to} has old results, or none, for: {', '.join(missed)}\n")
    return int(bool(missed))


def printed(command: Sequence[str]) -> str | None:
    """Run a module and return what it prints, shown on stderr as it comes; None if it fails or prints nothing."""
    sys.stderr.write(f"--- python -m {' '.join(command)}\n")
    lines = []
    child = [sys.executable, "-m", *command]
    with subprocess.Popen(child, cwd=ROOT, env=_unbuffered(), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            sys.stderr.write(line)
            lines.append(line.rstrip() + "\n")
    told = "".join(lines).strip("\n")
    return told if told and process.returncode == 0 else None


def results(text: str) -> dict[str, str]:
    """Return the results that a document has, by name."""
    return dict(_RESULT.findall(text))


def document(prose: str, kept: Mapping[str, str]) -> str:
    """Return the prose with each result in its place."""

    def filled(place: re.Match[str]) -> str:
        return f"{place[0]}{kept.get(place[1], NOT_YET + chr(10))}<!-- end of result -->\n"

    return _PLACE.sub(filled, prose)


def result(command: Sequence[str], on: str, told: str) -> str:
    """Return one result as Markdown: what was run, on which machine, and what it printed, word for word."""
    fence = "```" if "```" not in told else "`````"
    block = f"{fence}text\n{told}\n{fence}\n"
    if told.count("\n") >= FOLD_LINES:
        block = f"<details><summary>{told.count(chr(10)) + 1} lines</summary>\n\n{block}\n</details>\n"
    return f"`python -m {' '.join(command)}` on {on}:\n\n{block}"


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the cores that this process may use and their make."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = cpuinfo.read_text("utf-8") if cpuinfo.exists() else ""
    models = re.findall(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    extensions = [name for name in ("avx512_vnni", "avx_vnni", "amx_int8") if re.search(rf"\b{name}\b", text)]
    make = models[0].strip() if models else "a processor that does not tell its name"
    return f"{cores} core{'s' if cores > 1 else ''} of {' with '.join([make, *filter(None, [', '.join(extensions)])])}"


def write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    incoming = path.with_name(f".{path.name}.part")
    incoming.write_text(text, "utf-8")
    incoming.replace(path)


def _unbuffered() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.exit(main())
