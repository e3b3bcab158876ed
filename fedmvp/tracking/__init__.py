"""MLflow as a projection of result files; the only package that imports mlflow.

The result files are authoritative. `sync` updates the store to match them, wherever they came from:
a run, DVC's cache or a colleague. Nothing reads results from the store.
"""
