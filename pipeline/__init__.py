"""The stages of dvc.yaml, one module each: read params, call the library, write outputs."""
