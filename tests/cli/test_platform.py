"""Who acts, and where: whatever is said, a command tells what is wrong with it and ends without a traceback."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from mlops.settings import Settings, load_settings

START = ("release", "start", "faces", "2", "--reason", "finds more")


@pytest.fixture
def url(tmp_path: Path, serve_platform: Callable[[Settings], AbstractContextManager[str]]) -> Iterator[str]:
    places = {"DATABASE__URL": f"sqlite:///{tmp_path}/platform.db", "REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles")}
    with serve_platform(load_settings(environ={f"MASKER_{name}": value for name, value in places.items()})) as address:
        yield address


def masker(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(result: Result) -> str:
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("masker: ")
    return line


@pytest.mark.parametrize("name", ["Łukasz", "jürgen", "DOM\\ann lee", "a\nb", "\udcff", ""])
def test_a_user_whose_name_is_not_taken_looks_and_is_told_how_to_act(
    url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LOGNAME", name)
    monkeypatch.setenv("USER", name)
    assert masker("release", "list", "--url", url).exit_code == 0
    if name:  # Without one, the system's table of users is asked.
        told = refused(masker(*START, "--url", url))
        assert "--as NAME" in told
        assert "64 of a-z" in told
    assert masker(*START, "--url", url, "--as", "ada").exit_code == 0


@pytest.mark.parametrize("name", ["→", "a\nb", "ann lee", "", "a" * 65])
def test_a_name_that_is_not_taken_is_told_before_anything_is_asked(closed_port: int, name: str) -> None:
    for arguments in (("release", "list"), START):
        told = refused(masker(*arguments, "--as", name, "--url", f"http://127.0.0.1:{closed_port}"))
        assert "64 of a-z" in told


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:8143/ü", "http://[::1", "http://a..b", "http://127.0.0.1:port", "http://127.0.0.1:99999",
     "http://", "http://a b", "http://a\nb", "ftp://a", "127.0.0.1", "http://127.0.0.1/?a=b", ""],
)  # fmt: skip
def test_what_is_no_address_is_told(address: str) -> None:
    assert "is no address" in refused(masker("release", "list", "--url", address))


def test_what_is_no_id_is_asked_for_as_it_is(url: str) -> None:
    for which in ("ü" * 32, "a b?c#d" + "e" * 25):
        told = refused(masker("captures", "show", which, "--url", url, "--as", "ada", "-m", "because"))
        assert "is not valid" in told


def test_an_entry_of_the_log_that_was_damaged_is_a_line_too(url: str, tmp_path: Path) -> None:
    masker(*START, "--url", url, "--as", "ada")
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        connection.execute("DROP TRIGGER audit_log_no_update")
        connection.execute("UPDATE audit_log SET time = 'abc', actor = x'61ff' WHERE sequence = 1")
    connection.close()
    lines = masker("audit", "--url", url).stdout.splitlines()
    assert "no time  a\\xff  release.create" in lines[-1]
    assert lines[-1].endswith("(damaged: see --verify)")
    assert masker("audit", "--verify", "--url", url).exit_code == 4
