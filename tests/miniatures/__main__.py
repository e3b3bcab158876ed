from __future__ import annotations

import sys
from pathlib import Path

from tests.miniatures import LAYOUTS, build_miniatures

build_miniatures(Path(sys.argv[1]))
print(f"{len(LAYOUTS)} datasets in {sys.argv[1]}/.fedmvp/data")
