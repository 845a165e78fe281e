"""Runs models: the data plane, the platform API, the worker, and all of them in one process."""
