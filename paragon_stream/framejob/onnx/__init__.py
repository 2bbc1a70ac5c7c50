"""Frame jobs as ONNX graphs."""
