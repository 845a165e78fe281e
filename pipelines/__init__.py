"""Makes models: the stages that dvc.yaml runs, one module each."""

import os

from mlops.telemetry import switch_off

# Before any stage imports MLflow or Great Expectations, which read their switches then.
switch_off()

# Stages share out their work themselves; matrices that do it again make threads wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - OpenBLAS has no other switch
