"""Where the repository is, and its modules."""

from pathlib import Path

from pipeline.support.imports import Sources

ROOT = Path(__file__).parent.parent
SOURCES = Sources(ROOT)
