"""Trained methods for use elsewhere: a self-contained folder, a hub's repository, an ONNX graph."""
