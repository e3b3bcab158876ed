"""MLflow as a projection of result files; the only package that imports mlflow.

The files are the truth. `sync` brings the store in line with them, however they got there: by a
run, from DVC's cache or from a colleague. Nothing reads from the store.
"""
