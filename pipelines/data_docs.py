"""Great Expectations' Data Docs, made fit to be read without a network.

As they are written, the pages load style sheets, scripts and pictures from eight other hosts, and such a script draws
the tables of the index. Here those tables become plain HTML, everything that runs or is fetched goes, and a small style
sheet of our own comes in.
"""

import ast
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 82rem; padding: 0 1rem 3rem; color: #222;
  background: #fff; }
table { border-collapse: collapse; margin: .4rem 0; }
th, td { border: 1px solid #ddd; padding: .25rem .6rem; text-align: left; vertical-align: top; }
nav ol, .nav { list-style: none; padding: 0; } nav ol li { display: inline; margin-right: .6rem; }
.alert { background: #eef1f4; padding: .5rem .8rem; margin: 1rem 0 .4rem; } h4, h5, h6 { margin: .4rem 0; }
.badge { background: #eef1f4; border-radius: 3px; padding: 0 .3rem; font-family: monospace; }
.text-danger { color: #b3261e; } .text-success { color: #146c2e; } code, pre { white-space: pre-wrap; }
.fa-times::before { content: "failed"; } .fa-check-circle::before { content: "passed"; }
.fa-exclamation-triangle::before { content: "error"; } .fas { font-style: normal; font-weight: 600; }
.cooltip .top, .card, .btn, .btn-group { display: none; }
"""

_INDEX_TABLE: Final = re.compile(
    r"\$\('#(?P<table>[\w-]+)'\)\.bootstrapTable\(.*?columns: (?P<columns>\[[^\n]*\]),\s*data: (?P<rows>\[[^\n]*\]),\n",
    re.DOTALL,
)
_ACTIVE: Final = (
    re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE),
    re.compile(r"<style\b.*?</style\s*>", re.DOTALL | re.IGNORECASE),
    re.compile(r"<footer\b.*?</footer\s*>", re.DOTALL | re.IGNORECASE),
    re.compile(r"<(?:link|img)\b[^>]*>", re.IGNORECASE),
    re.compile(r"\son\w+=\"[^\"]*\"", re.IGNORECASE),
)
_FETCHING: Final = {"src", "srcset", "poster", "background", "data"}
_FORBIDDEN: Final = {"script", "link", "img", "iframe", "object", "embed", "base", "video", "audio"}


class NotOffline(Exception):
    """A page would still fetch something."""


def take_offline(folder: Path) -> None:
    """Rewrite every page under ``folder`` so that a browser fetches nothing but pages that it links to.

    Raises:
        NotOffline: A page holds something that this does not know how to take out.
    """
    for page in sorted(folder.rglob("*.html")):
        text = offline(page.read_text(encoding="utf-8"))
        left = fetched(text)
        if left:
            raise NotOffline(f"{page.relative_to(folder)} would still fetch: {', '.join(left)}")
        page.write_text(text, encoding="utf-8")


def offline(page: str) -> str:
    """Give the page with its tables in plain HTML, without scripts, pictures and foreign styles."""
    for match in _INDEX_TABLE.finditer(page):
        body = _table_body(ast.literal_eval(match["columns"]), ast.literal_eval(match["rows"]))
        before, empty, after = page.partition(f'id="{match["table"]}"')
        tag_end, end, rest = after.partition("</table>")
        page = f"{before}{empty}{tag_end}{body}{end}{rest}"
    for pattern in _ACTIVE:
        page = pattern.sub("", page)
    return page.replace("</head>", f"<style>{STYLE}</style></head>", 1)


def _table_body(columns: list[dict[str, str]], rows: list[dict[str, object]]) -> str:
    # Great Expectations has escaped what it puts into cells already: they hold markup of its own.
    head = "".join(f"<th>{escape(column['title'])}</th>" for column in columns)
    body = []
    for row in rows:
        cells = [str(row.get(column["field"], "")) for column in columns]
        target = escape(str(row.get("_table_row_link_path", "")))
        body.append(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + f'<td><a href="{target}">open</a></td></tr>'
        )
    return f"<thead><tr>{head}<th></th></tr></thead><tbody>{''.join(body)}</tbody>"


def fetched(page: str) -> list[str]:
    """Name everything in a page that a browser would fetch or run by itself; links to click on are none of it."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        if tag in _FORBIDDEN:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name in _FETCHING or name.startswith("on") or (name == "style" and _refers(value or "")):
                self.found.append(f"{name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style and _refers(data):
            self.found.append("a style sheet with url() or @import")


def _refers(style: str) -> bool:
    return "url(" in style.lower() or "@import" in style.lower()
