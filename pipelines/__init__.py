"""Makes models: the stages that dvc.yaml runs, one module each."""

from mlops.telemetry import switch_off

# Before any stage imports MLflow or Great Expectations, which read their switches then.
switch_off()
