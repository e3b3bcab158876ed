"""Sweeps: combinations of values for params.yaml, each tried as a DVC experiment.

Start with `driver.run_sweep`.
"""
