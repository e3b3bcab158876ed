"""What happens in a federation, one JSON line per event: for ``serve``'s table and for scripts.

The supervisor and the server's job process append to the same file, each line in a single write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Events", "read_events"]


class Events:
    """Appends to the event file.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event with the present time in UTC.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **fields}, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)


def read_events(path: Path, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield complete events from byte `start` on, each with the offset of the byte after it.

    A line that was cut short, because its writer was killed, is skipped.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield start, event
