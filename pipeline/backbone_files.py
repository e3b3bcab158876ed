"""Where the backbone stage writes, without importing what it needs to write."""

from pathlib import Path

BACKBONE_FOLDER = Path("data/backbone")
