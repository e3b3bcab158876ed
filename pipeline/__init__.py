"""The stages of dvc.yaml, one module each: read params, call the library, write outputs."""

import gc
import sys

from pipeline.support.stage import begin

# `python -m pipeline.<stage>` is starting. Its imports create no garbage, and searching torch's
# modules for it takes half as long as importing them: `run_stage` turns the collector on again.
if sys.argv[0] == "-m":
    gc.disable()
    begin()
