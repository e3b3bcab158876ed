"""The stages of dvc.yaml, one module each: read params, call the library, write outputs."""

import gc
import sys

from pipeline.support.stage import begin

# `python -m pipeline.<stage>` is starting. Nothing it imports is garbage, and looking for garbage
# among torch's modules takes as long as half of them: `run_stage` turns the collector on again.
if sys.argv[0] == "-m":
    gc.disable()
    begin()
