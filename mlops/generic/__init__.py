"""Any ONNX graph with an MLflow signature, served as it is: signature, golden test, and what a run of it costs."""
