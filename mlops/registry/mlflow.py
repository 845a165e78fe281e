"""The model registry as MLflow keeps it: versions, tags, and the aliases `champion` and `previous`."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops.registry.bundle import Bundle, BundleError, install, installed
from mlops.telemetry import switch_off

switch_off()

import mlflow  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

CHAMPION, PREVIOUS = "champion", "previous"
DIGEST_TAG = "bundle_digest"


class RegistryError(Exception):
    """The registry cannot be reached, or has not what was asked for."""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version: its number, the digest of its bundle, its tags and aliases, and the run that made it."""

    name: str
    version: str
    digest: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    run_id: str
    created_ms: int


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

    def promote(self, name: str, version: str) -> Version:
        """Make a version the champion; the champion before it becomes `previous`."""
        before = self.champion(name)
        try:
            if before and before.version != version:
                self._client.set_registered_model_alias(name, PREVIOUS, before.version)
            self._client.set_registered_model_alias(name, CHAMPION, version)
            return self._version(self._client.get_model_version(name, version))
        except MlflowException as error:
            raise RegistryError(f"version {version} of {name} cannot become champion: {error}") from error

    def champion(self, name: str) -> Version | None:
        """Give the version that the alias `champion` names; None where there is none yet."""
        try:
            return self._version(self._client.get_model_version_by_alias(name, CHAMPION))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
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
        try:
            return sorted(model.name for model in self._client.search_registered_models())
        except MlflowException as error:
            raise RegistryError(f"the registry does not answer: {error}") from error

    def pull(self, name: str, root: Path) -> Bundle | None:
        """Bring the champion into the bundle folder; None where it is there already, or there is no champion.

        Raises:
            RegistryError: The registry does not answer.
            BundleError: What it gave is not what was registered; the bundle that serves stays.
        """
        champion = self.champion(name)
        if champion is None or installed(root, name) == (champion.version, champion.digest):
            return None
        if not champion.digest:
            raise BundleError(
                f"version {champion.version} of {name} has no tag {DIGEST_TAG}: it was not made by register"
            )
        with tempfile.TemporaryDirectory() as folder:
            try:
                uri = f"models:/{name}/{champion.version}"
                source = mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=self._uri)
            except (MlflowException, OSError) as error:
                raise RegistryError(f"version {champion.version} of {name} cannot be downloaded: {error}") from error
            return install(Path(source), root, name, champion.version, champion.digest)

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
