"""Sweeps: values of params.yaml that are tried, each as a DVC experiment.

Start with `driver.run_sweep`.
"""
