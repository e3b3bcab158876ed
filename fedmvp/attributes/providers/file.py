"""Published attribute lists: a JSON object of class name to list of texts, any number each.

Reads the FedMVP repository's ``attributes/*.json`` and classify-by-description's
``descriptors_*.json`` alike. Keys may be written with spaces for underscores and in other case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmvp.attributes.providers.base import Ask, Reply
from fedmvp.attributes.schema import check_list, deduplicate, normalise, spoken_name
from fedmvp.errors import AttributeTextError
from fedmvp.files import read_json

__all__ = ["FileProvider"]

MAX_BYTES = 64 * 1024 * 1024
_HINT = (
    "give a JSON of class -> list of texts (the file named on the command line, or attributes.path)"
)


class FileProvider:
    """Answers from a JSON file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    AttributeTextError
        When the file is missing, huge, or no object of lists; or spells a class twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise AttributeTextError(
                "file is missing",
                where=path,
                hint=_HINT,
            )
        if path.stat().st_size > MAX_BYTES:
            raise AttributeTextError(
                f"file is larger than {MAX_BYTES >> 20} MiB",
                where=path,
                hint=_HINT,
            )
        value = read_json(path, _HINT)
        if not isinstance(value, dict):
            raise AttributeTextError(
                "not an object of class -> list of texts", where=path, hint=_HINT
            )
        self._lists: dict[str, Any] = value
        self._folded: dict[str, list[str]] = {}
        for key in value:
            self._folded.setdefault(_fold(key), []).append(key)

    def reply(self, ask: Ask) -> Reply:
        """Look the class up; texts equal but for case are merged, as published lists repeat."""
        texts = self._lists[self._key(ask)]
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            texts = list(deduplicate(filter(None, map(normalise, texts))))
        return Reply(
            check_list(texts, dataset=ask.dataset, class_name=ask.class_name, may_name_class=True)
        )

    def _key(self, ask: Ask) -> str:
        if ask.class_name in self._lists:
            return ask.class_name
        keys = self._folded.get(_fold(ask.class_name), [])
        if len(keys) == 1:
            return keys[0]
        what = "class is not in the file" if not keys else f"class is spelt {len(keys)} ways"
        raise AttributeTextError(
            what,
            where=self.path,
            value=ask.class_name,
            hint=f"give one list under {spoken_name(ask.class_name)!r}",
        )


def _fold(name: str) -> str:
    return spoken_name(name).casefold()
