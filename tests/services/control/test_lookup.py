"""The registry's file tells the same without MLflow as MLflow does."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlops.registry.errors import RegistryError, UnknownVersion
from mlops.registry.mlflow import Registry
from mlops.registry.version import Version
from services.control.lookup import File, Lookup, Server, lookup_of

NAME = "face-detector"
MOVE = "UPDATE registered_model_aliases SET version = ? WHERE alias = 'champion'"


@pytest.fixture
def uri(logged_run: str, tmp_path: Path) -> str:
    """A registry with four versions: previous, deleted, champion and challenger, and the newest; and with a prompt."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    registry = Registry(uri)
    for recall in ("0.9", "0.91", "0.92", "0.93"):
        registry.register(NAME, logged_run, "bundle", recall * 16, {"recall": recall})
    for alias, version in (("previous", "1"), ("champion", "3"), ("challenger", "3")):
        registry.set_alias(NAME, alias, version)
    client = mlflow.MlflowClient(uri, uri)
    client.delete_model_version(NAME, "2")
    client.register_prompt("asks-nicely", "Please, {{what}}")
    return uri


def plain(version: Version) -> Version:
    return replace(version, aliases=tuple(sorted(version.aliases)))


def answer(lookup: Lookup, wanted: str) -> Version | str:
    try:
        return plain(lookup.resolve(NAME, wanted))
    except UnknownVersion:
        return "unknown"


def test_the_file_says_what_mlflow_says(uri: str) -> None:
    file, server = File(uri), Server(uri)
    assert file.names() == server.names() == [NAME]
    assert [plain(each) for each in file.versions(NAME)] == [plain(each) for each in server.versions(NAME)]
    assert file.versions("nobody") == []
    found = {wanted: answer(file, wanted) for wanted in ("1", "2", "5", "champion", "challenger", "newest", "rival")}
    assert found == {wanted: answer(server, wanted) for wanted in found}
    assert [wanted for wanted, version in found.items() if version == "unknown"] == ["2", "5", "rival"]


def test_an_alias_that_moves_while_it_is_read_is_at_one_version(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, turns, connect = uri.removeprefix("sqlite:///"), cycle((1, 3)), sqlite3.connect

    class Disturbed(sqlite3.Connection):
        """Somebody moves the alias before each look at aliases, unless he would have to wait."""

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if "aliases" in statement:
                with suppress(sqlite3.OperationalError), closing(connect(path, timeout=0)) as other, other:
                    other.execute(MOVE, (next(turns),))
            return super().execute(statement, *values)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", partial(connect, factory=Disturbed))
        found = File(uri).versions(NAME)
    assert ["champion" in each.aliases for each in found].count(True) == 1


def test_a_registry_that_is_not_there_yet_is_empty_and_stays_so(tmp_path: Path) -> None:
    file = File(f"sqlite:///{tmp_path}/mlflow.db")
    assert (file.names(), file.versions(NAME)) == ([], [])
    with pytest.raises(UnknownVersion):
        file.resolve(NAME, "1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spoil", [lambda file: file.write_bytes(b"no database at all" * 99), Path.mkdir])
def test_a_file_that_is_no_registry_does_not_answer(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    spoil(tmp_path / "mlflow.db")
    with pytest.raises(RegistryError):
        File(f"sqlite:///{tmp_path}/mlflow.db").names()


def test_a_server_is_asked_by_mlflow() -> None:
    assert isinstance(lookup_of("http://127.0.0.1:5000"), Server)
    assert isinstance(lookup_of("sqlite:///var/mlflow.db"), File)
