"""Hides people: arrays in, arrays out. Knows no web, registry, database or metrics."""

import os

# Before any module imports onnxruntime, which while it is imported makes an identifier of the device and reports it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 - not a setting of ours, and onnxruntime has no other switch
