"""What the registry holds, asked of MLflow, or read from its database file where that is on this machine.

In the process that serves nobody imports MLflow: that is seconds of the interpreter's lock and 200 MB. What is asked of
it there is little, and stands in a few columns of its file, which are opened for reading alone.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from mlops.registry.errors import RegistryError, unknown
from mlops.registry.version import ALIASES, DIGEST_TAG, NEWEST, Version
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import AliasOperation

if TYPE_CHECKING:
    from mlops.registry.mlflow import Registry

SCHEME: Final = "sqlite:///"
BUSY_SECONDS: Final = 5.0
_NAMES: Final = """
    SELECT name FROM registered_models WHERE name NOT IN
        (SELECT name FROM registered_model_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true')
    ORDER BY name"""
_VERSIONS: Final = """
    SELECT version, run_id, creation_time FROM model_versions
    WHERE name = ? AND current_stage != 'Deleted_Internal' ORDER BY version DESC"""
_TAGS: Final = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
_ALIASES: Final = "SELECT alias FROM registered_model_aliases WHERE name = ? AND version = ? ORDER BY alias"


class Lookup(Protocol):
    """What is asked of the registry. Every method blocks, and raises RegistryError where it does not answer."""

    def names(self) -> list[str]:
        """List the names of the registered models."""

    def versions(self, name: str) -> list[Version]:
        """List the versions of a model, newest first; none where there is no such model."""

    def resolve(self, name: str, wanted: str) -> Version:
        """Give the version that a number, an alias or ``newest`` means; raises UnknownVersion."""


class Server:
    """The registry by way of MLflow, which the first question imports.

    Args:
        tracking_uri: Where it is.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    @cached_property
    def _registry(self) -> "Registry":
        from mlops.registry.mlflow import Registry

        return Registry(self._tracking_uri)

    def names(self) -> list[str]:
        """See `Lookup`."""
        return self._registry.names()

    def versions(self, name: str) -> list[Version]:
        """See `Lookup`."""
        return self._registry.versions(name)

    def resolve(self, name: str, wanted: str) -> Version:
        """See `Lookup`."""
        return self._registry.resolve(name, wanted)


class File:
    """The registry's database file, without MLflow. One that is not there yet is a registry with nothing in it.

    Args:
        tracking_uri: ``sqlite:///`` and the file's path.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._path = Path(tracking_uri.removeprefix(SCHEME))

    def names(self) -> list[str]:
        """See `Lookup`."""
        with self._reading() as connection:
            return [name for (name,) in connection.execute(_NAMES)]

    def versions(self, name: str) -> list[Version]:
        """See `Lookup`."""
        with self._reading() as connection:
            return [_version(connection, name, *row) for row in connection.execute(_VERSIONS, (name,)).fetchall()]

    def resolve(self, name: str, wanted: str) -> Version:
        """See `Lookup`."""
        for version in self.versions(name):
            if wanted == NEWEST or wanted in (version.version, *version.aliases):
                return version
        raise unknown(name, wanted)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        where = f"file:{quote(str(self._path))}?mode=ro" if self._path.exists() else ":memory:"
        try:
            with closing(sqlite3.connect(where, timeout=BUSY_SECONDS, uri=True)) as connection:
                if where == ":memory:":
                    connection.executescript(_NOTHING)
                # One look at all of it: an alias that moves meanwhile is at one version, not at two or none.
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise RegistryError(f"the registry's file cannot be read: {error}") from error


class Foreseen:
    """The registry as it will be: aliases that releases have changed, and that it does not have yet, go over its word.

    Which version serves is up to releases alone; the worker brings the registry's aliases after it, in its own time.

    Args:
        lookup: How the registry is asked.
        store: Knows which aliases wait. Where its database does not answer, neither does this: DatabaseAway.
    """

    def __init__(self, lookup: Lookup, store: ReleaseStore) -> None:
        self._lookup = lookup
        self._store = store

    def names(self) -> list[str]:
        """See `Lookup`."""
        return self._lookup.names()

    def versions(self, name: str) -> list[Version]:
        """See `Lookup`."""
        # Before the registry, or an alias that arrives there meanwhile would be seen nowhere.
        waiting = self._waiting(name)
        versions = self._lookup.versions(name)
        named: dict[str, str | None] = {alias: each.version for each in versions for alias in each.aliases}
        for alias, operation in waiting.items():
            if not self._stays(operation, named.get(alias)):
                named[alias] = operation.version
        return [replace(each, aliases=tuple(a for a, v in named.items() if v == each.version)) for each in versions]

    def resolve(self, name: str, wanted: str) -> Version:
        """See `Lookup`."""
        if wanted not in ALIASES:
            return self._lookup.resolve(name, wanted)
        for version in self.versions(name):
            if wanted in version.aliases:
                return version
        raise unknown(name, wanted)

    def _waiting(self, name: str) -> dict[str, AliasOperation]:
        return {each.alias: each for each in self._store.aliases_pending() if each.model == name}

    def _stays(self, operation: AliasOperation, named: str | None) -> bool:
        return named is not None and self._store.stays(operation, named)


def lookup_of(tracking_uri: str) -> Lookup:
    """Return the quickest way to ask the registry behind a tracking URI."""
    return File(tracking_uri) if tracking_uri.startswith(SCHEME) else Server(tracking_uri)


def _version(connection: sqlite3.Connection, name: str, version: int, run_id: str | None, created_ms: int) -> Version:
    tags = dict(connection.execute(_TAGS, (name, version)))
    aliases = tuple(alias for (alias,) in connection.execute(_ALIASES, (name, version)))
    return Version(name, str(version), tags.get(DIGEST_TAG, ""), tags, aliases, run_id or "", created_ms)


_NOTHING: Final = """
    CREATE TABLE registered_models (name); CREATE TABLE registered_model_tags (name, key, value);
    CREATE TABLE model_versions (name, version, run_id, creation_time, current_stage);"""
