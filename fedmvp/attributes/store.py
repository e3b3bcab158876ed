"""Recorded answers: one append-only JSON Lines file per dataset, meant to be kept in git.

An answer's key covers everything that affects the question: model, template text, class, dataset
context and sampling parameters. The first answer for a key is kept; nothing is ever overwritten.
Several processes may append at once, and a killed one loses only the line it was writing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fedmvp.attributes.record import RecordedAnswer, parse_line
from fedmvp.errors import AttributeTextError
from fedmvp.files import MAX_DATA_BYTES, write_bytes

__all__ = ["RECORDED", "AnswerStore", "recorded_folder"]

RECORDED = Path(__file__).parent / "recorded"


def recorded_folder(dataset: str) -> Path:
    """Return where a dataset's answers are: committed, or beside its entry in FEDMVP_CATALOG."""
    catalog = os.environ.get("FEDMVP_CATALOG")
    own = catalog is not None and (Path(catalog) / f"{dataset}.yaml").is_file()
    return Path(catalog or "") / "recorded" if own else RECORDED


class AnswerStore:
    """The recorded answers of one dataset.

    Parameters
    ----------
    path : Path
        A ``.jsonl`` file; it need not exist yet.

    Raises
    ------
    AttributeTextError
        On reading a line that is not a valid answer, with its number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, RecordedAnswer] = {}
        self._bytes = 0
        self._lines = 0
        self._last_line = b""
        if path.exists():
            with path.open("rb") as file:
                self._catch_up(file.fileno())

    @classmethod
    def of(cls, dataset: str, folder: Path | None = None) -> AnswerStore:
        """Return the store of a dataset, in its folder (`recorded_folder`) or another."""
        if not dataset or not all(c.isalnum() or c in "_-" for c in dataset):
            raise AttributeTextError(
                "not a dataset name",
                where="attributes store",
                value=dataset,
                hint="use letters, digits, '_' and '-'",
            )
        return cls((folder or recorded_folder(dataset)) / f"{dataset}.jsonl")

    @property
    def dataset(self) -> str:
        """Name of the dataset: the file's stem."""
        return self.path.stem

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[RecordedAnswer]:
        return iter(self._answers.values())

    def get(self, key: str) -> RecordedAnswer | None:
        """Return the answer to a question's key, or None."""
        return self._answers.get(key)

    def add(self, answer: RecordedAnswer) -> RecordedAnswer:
        """Append an answer unless its question is answered already.

        Returns
        -------
        RecordedAnswer
            The one that stands: an answer another process recorded first wins.
        """
        with self._locked() as file:
            rest = self._catch_up(file)
            if rest and self._whole(rest):
                _write_all(file, b"\n")  # An editor that leaves out the last line feed.
            elif rest:
                os.ftruncate(file, self._bytes)  # We hold the lock, so the writer died mid-line.
            self._catch_up(file)
            if standing := self.get(answer.question.key):
                return standing
            _write_all(file, answer.to_line())
            os.fsync(file)
            self._catch_up(file)
            return answer

    def prepare(self) -> None:
        """Make sure answers can be recorded, before anything is paid for.

        Raises
        ------
        OSError
            When the file cannot be written.
        """
        with self._locked():
            pass

    def sort(self) -> None:
        """Rewrite the file in class order, for small diffs; call it before committing."""
        with self._locked() as file:
            rest = self._catch_up(file)
            if rest and not self._whole(rest):
                os.ftruncate(file, self._bytes)
            ordered = sorted(AnswerStore(self.path), key=_class_order)
            write_bytes(self.path, b"".join(answer.to_line() for answer in ordered))

    def _catch_up(self, file: int) -> bytes:
        """Read the lines other writers added since the last look; return an unfinished rest."""
        length = len(self._last_line)
        if os.pread(file, length, self._bytes - length) != self._last_line:
            # Rewritten by `sort` or by hand: read it all again.
            self._bytes, self._lines, self._last_line = 0, 0, b""
        if os.fstat(file).st_size > MAX_DATA_BYTES:
            raise AttributeTextError("file is huge", where=self.path, hint="restore it from git")
        tail = os.pread(file, max(0, os.fstat(file).st_size - self._bytes), self._bytes)
        whole = tail[: tail.rfind(b"\n") + 1]
        # Split at line feeds only: other line separators may stand inside JSON strings.
        for line in whole.split(b"\n")[:-1]:
            self._lines += 1
            answer = parse_line(line, self.path, self._lines)
            self._answers.setdefault(answer.question.key, answer)
            self._last_line = line + b"\n"
        self._bytes += len(whole)
        rest = tail[len(whole) :]
        if rest and (last := self._whole(rest)):
            self._answers.setdefault(last.question.key, last)
        return rest

    def _whole(self, line: bytes) -> RecordedAnswer | None:
        """Return the answer of a last line without line feed, or None when it is torn."""
        try:
            return parse_line(line, self.path, self._lines + 1)
        except AttributeTextError:
            return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Open for appending under an exclusive lock, as a file descriptor."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # `sort` renames a new file over the path; a lock on the old one protects nothing.
                if _is_at(file, self.path):
                    yield file
                    return
            finally:
                os.close(file)


def _class_order(answer: RecordedAnswer) -> tuple[str, str]:
    return answer.question.class_name, answer.question.key


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
