"""The stages of dvc.yaml, one module each: read params, call the library, write outputs."""

import os

# Set before torch is loaded. OpenMP's idle threads spin by default; beside another busy process
# that made a training step of PictoCLIP five to eight times slower on two cores, while sleeping
# costs a tenth on an idle machine. Whoever sets the variable keeps their choice.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
