"""The model registry as MLflow keeps it: versions, tags, and the aliases `champion`, `challenger` and `previous`."""

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mlops.registry.bundle import Bundle, BundleError, installed, on_disk, place, point_from
from mlops.registry.errors import RegistryError, UnknownVersion, unknown
from mlops.registry.version import CHALLENGER, CHAMPION, DIGEST_TAG, NAME_PATTERN, NEWEST, PREVIOUS, Version
from mlops.telemetry import switch_off

__all__ = ["DIGEST_TAG", "Registry", "RegistryError", "UnknownVersion", "Version"]
switch_off()

import mlflow  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

PAGE = 1000
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Registry:
    """The registry behind a tracking URI: a database file, or an MLflow server."""

    def __init__(self, tracking_uri: str) -> None:
        if tracking_uri.startswith("sqlite:///"):
            Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(tracking_uri)
        self._uri = tracking_uri
        self._client = MlflowClient(tracking_uri, tracking_uri)

    def register(self, name: str, run_id: str, artifact_path: str, digest: str, tags: Mapping[str, str]) -> Version:
        """Register the bundle that a run logged as an artifact folder, and give the new version."""
        try:
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name)
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{artifact_path}"
            created = self._client.create_model_version(name, source, run_id=run_id, tags={**tags, DIGEST_TAG: digest})
            return self._version(self._client.get_model_version(name, created.version))
        except MlflowException as error:
            raise RegistryError(f"version of {name} cannot be registered: {error}") from error

    def admit(self, name: str, version: str) -> Version:
        """Make a new version the champion where there is none yet; else the challenger, which a release then tries."""
        if self.champion(name) is None:
            return self.promote(name, version)
        self.set_alias(name, CHALLENGER, version)
        return self.resolve(name, version)

    def promote(self, name: str, version: str) -> Version:
        """Make a version the champion, and challenger no more; the champion before it becomes `previous`."""
        before = self.champion(name)
        try:
            if before and before.version != version:
                self._client.set_registered_model_alias(name, PREVIOUS, before.version)
            self._client.set_registered_model_alias(name, CHAMPION, version)
            if CHALLENGER in self._client.get_model_version(name, version).aliases:
                self._client.delete_registered_model_alias(name, CHALLENGER)
            return self._version(self._client.get_model_version(name, version))
        except MlflowException as error:
            raise RegistryError(f"version {version} of {name} cannot become champion: {error}") from error

    def champion(self, name: str) -> Version | None:
        """Give the version that the alias `champion` names; None where there is none yet."""
        try:
            return self._version(self._client.get_model_version_by_alias(name, CHAMPION))
        except MlflowException as error:
            if error.error_code in MISSING:
                return None
            raise RegistryError(f"the registry does not answer: {error}") from error

    def versions(self, name: str) -> list[Version]:
        """List the versions of a model, newest first."""
        try:
            found = self._client.search_model_versions(f"name = '{name}'")
            # A search leaves the aliases out, so each version is asked for by itself.
            versions = [self._version(self._client.get_model_version(name, each.version)) for each in found]
        except MlflowException as error:
            raise RegistryError(f"the registry does not answer: {error}") from error
        return sorted(versions, key=lambda each: int(each.version), reverse=True)

    def names(self) -> list[str]:
        """List the names of the registered models."""
        return sorted(self._aliases())

    def champions(self) -> list[str]:
        """List the names of the models that have a champion and can be brought."""
        return sorted(
            name for name, aliases in self._aliases().items() if CHAMPION in aliases and re.match(NAME_PATTERN, name)
        )

    def resolve(self, name: str, wanted: str) -> Version:
        """Give the version that a number, an alias or the word `newest` means.

        Raises:
            UnknownVersion: There is none of that name.
            RegistryError: The registry does not answer.
        """
        try:
            if wanted.isdecimal():
                return self._version(self._client.get_model_version(name, wanted))
            if wanted == NEWEST:
                newest = self._client.search_model_versions(
                    f"name = '{name}'", max_results=1, order_by=["version_number DESC"]
                )
                if not newest:
                    raise unknown(name, wanted)
                return self._version(self._client.get_model_version(name, newest[0].version))
            return self._version(self._client.get_model_version_by_alias(name, wanted))
        except MlflowException as error:
            if error.error_code in MISSING:
                raise unknown(name, wanted) from error
            raise RegistryError(f"the registry does not answer: {error}") from error

    def set_alias(self, name: str, alias: str, version: str | None) -> None:
        """Give an alias to a version, or to none; done twice it is the same.

        Raises:
            UnknownVersion: There is no such model or version.
            RegistryError: The registry does not answer.
        """
        try:
            if version is None:
                self._client.delete_registered_model_alias(name, alias)
            else:
                self._client.set_registered_model_alias(name, alias, version)
        except MlflowException as error:
            if error.error_code in MISSING:
                raise UnknownVersion(f"{name} has no version {version} that could be {alias}") from error
            raise RegistryError(f"version {version} of {name} cannot become {alias}: {error}") from error

    def bring(self, name: str, version: str, root: Path) -> Bundle:
        """Bring a version into the bundle folder, where it is not there yet; the pointer stays as it was.

        Raises:
            UnknownVersion: There is no such version.
            RegistryError: The registry does not answer.
            BundleError: What it gave is not what was registered.
        """
        return self._bring(self.resolve(name, version), root)

    def pull(self, name: str, root: Path, may_point: Callable[[str], bool] = lambda _: True) -> Bundle | None:
        """Bring the champion into the bundle folder; None where it is there already, or there is no champion.

        One that lies there but is damaged is brought again.

        Args:
            name: Name of the registered model.
            root: Folder of the bundles.
            may_point: Asked last whether the registry's word on the champion of this model holds: while an alias that
                a release has changed here is not changed there yet, it does not.

        Raises:
            RegistryError: The registry does not answer.
            BundleError: What it gave is not what was registered; the bundle that serves stays.
        """
        # In this order: whoever moves the pointer between the first line and the last is right, and this one is late.
        before = installed(root, name)
        champion = self.champion(name)
        if champion is None:
            return None
        stands = before == (champion.version, champion.digest)
        if stands and on_disk(root, name, champion.version, champion.digest) is not None:
            return None
        bundle = self._bring(champion, root)
        if not may_point(name) or not point_from(before, root, name, champion.version, champion.digest):
            return None
        return bundle

    def _bring(self, version: Version, root: Path) -> Bundle:
        name, number = version.name, version.version
        if not version.digest:
            raise BundleError(f"version {number} of {name} has no tag {DIGEST_TAG}: it was not made by register")
        there = on_disk(root, name, number, version.digest)
        if there is not None:
            return there
        with tempfile.TemporaryDirectory() as folder:
            try:
                uri = f"models:/{name}/{number}"
                source = mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=self._uri)
            except (MlflowException, OSError) as error:
                raise RegistryError(f"version {number} of {name} cannot be downloaded: {error}") from error
            return place(Path(source), root, name, number, version.digest)

    def _aliases(self) -> dict[str, Mapping[str, str]]:
        """Give the aliases of every registered model, by its name."""
        found: dict[str, Mapping[str, str]] = {}
        page: str | None = None
        try:
            while page != "":
                models = self._client.search_registered_models(max_results=PAGE, page_token=page)
                found |= {model.name: dict(model.aliases) for model in models}
                page = models.token or ""
        except MlflowException as error:
            raise RegistryError(f"the registry does not answer: {error}") from error
        return found

    @staticmethod
    def _version(found: "mlflow.entities.model_registry.ModelVersion") -> Version:
        digest = found.tags.get(DIGEST_TAG, "")
        return Version(
            found.name,
            str(found.version),
            digest,
            dict(found.tags),
            tuple(found.aliases),
            found.run_id or "",
            found.creation_timestamp,
        )
