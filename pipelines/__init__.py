"""Makes models: the stages that dvc.yaml runs, one module each."""
