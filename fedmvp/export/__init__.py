"""Trained methods to carry away: a folder that stands alone, a hub's repository, an ONNX graph."""
