"""Measurements of the pipeline: run by hand, read by people."""
