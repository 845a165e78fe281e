"""One MLflow run for one passage through the pipeline: train opens it, evaluate and register add to it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mlflow

from mlops.registry.settings import RegistrySettings

RUN = Path("data/run.json")


@contextmanager
def new_run(settings: RegistrySettings, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Open a run in the experiment of the model of faces, note its id for the later stages, and give the id."""
    with run_of(settings, settings.model, name, tags) as run_id:
        RUN.write_text(json.dumps({"run_id": run_id, "tracking_uri": settings.tracking_uri}) + "\n", encoding="utf-8")
        yield run_id


@contextmanager
def run_of(settings: RegistrySettings, model: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Open a run in the experiment of a model, and give its id."""
    uri = settings.tracking_uri
    mlflow.set_tracking_uri(uri)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    if mlflow.get_experiment_by_name(model) is None:
        # A server decides itself where artifacts lie; beside a database file they go where the settings say.
        local = None if uri.startswith("http") else Path(settings.artifacts).resolve().as_uri()
        mlflow.create_experiment(model, artifact_location=local)
    mlflow.set_experiment(model)
    with mlflow.start_run(run_name=name, tags=dict(tags)) as run:
        yield str(run.info.run_id)


@contextmanager
def same_run(settings: RegistrySettings) -> Iterator[str]:
    """Open the run that train noted once more."""
    mlflow.set_tracking_uri(settings.tracking_uri)
    run_id = str(json.loads(RUN.read_text(encoding="utf-8"))["run_id"])
    with mlflow.start_run(run_id=run_id):
        yield run_id
