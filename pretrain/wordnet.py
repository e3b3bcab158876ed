"""A reader of the WordNet 3.0 database files (Debian package `wordnet-base`).

Only nouns are read: an icon's name is worth learning when it names a thing one can draw.
File format: WordNet's own manual pages wndb(5WN) and lexnames(5WN).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Synset", "WordNet"]

_HYPERNYM = "@"
_LEXNAMES = {
    4: "act",
    5: "animal",
    6: "artifact",
    8: "body",
    11: "event",
    13: "food",
    15: "location",
    17: "object",
    18: "person",
    19: "phenomenon",
    20: "plant",
    25: "shape",
    27: "substance",
}
PHYSICAL = frozenset(
    {"animal", "artifact", "body", "food", "object", "person", "phenomenon", "plant", "substance"}
)


@dataclass(frozen=True)
class Synset:
    """One sense: its words, its definition (examples cut off), its class and its parents."""

    words: tuple[str, ...]
    gloss: str
    lexname: str
    hypernyms: tuple[int, ...]


class WordNet:
    """Noun senses by lemma.

    Parameters
    ----------
    folder : Path
        Holds `index.noun`, `data.noun` and `noun.exc`.
    """

    def __init__(self, folder: Path) -> None:
        self.synsets = _read_data(folder / "data.noun")
        self.senses = _read_index(folder / "index.noun")
        self.irregular = _read_exceptions(folder / "noun.exc")

    def lemma(self, phrase: str) -> str | None:
        """Return the dictionary form of a noun phrase, or None when it has no entry."""
        forms = [phrase]
        if phrase in self.irregular:
            forms.append(self.irregular[phrase])
        for ending, replacement in (
            ("ies", "y"),
            ("ches", "ch"),
            ("shes", "sh"),
            ("xes", "x"),
            ("sses", "ss"),
            ("s", ""),
        ):
            if phrase.endswith(ending) and len(phrase) > len(ending) + 2:
                forms.append(phrase[: -len(ending)] + replacement)
        return next((form for form in forms if form in self.senses), None)

    def thing(self, phrase: str, among: int = 4) -> Synset | None:
        """Return the most frequent sense of `phrase` one can draw, within the `among` first."""
        lemma = self.lemma(phrase)
        if lemma is None:
            return None
        candidates = (self.synsets[offset] for offset in self.senses[lemma][:among])
        return next((sense for sense in candidates if sense.lexname in PHYSICAL), None)

    def ancestors(self, sense: Synset, depth: int) -> list[Synset]:
        """Return up to `depth` parents, nearest first, following the first parent."""
        found: list[Synset] = []
        while sense.hypernyms and len(found) < depth:
            sense = self.synsets[sense.hypernyms[0]]
            found.append(sense)
        return found


def _read_data(path: Path) -> dict[int, Synset]:
    synsets: dict[int, Synset] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue  # the licence
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        count = int(fields[3], 16)
        words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
        pointers = fields[5 + 2 * count :]
        parents = tuple(
            int(pointers[i + 1])
            for i in range(0, len(pointers) - 3, 4)
            if pointers[i].startswith(_HYPERNYM)
        )
        definition = gloss.split('; "')[0].split(";  ")[0].strip()
        synsets[int(fields[0])] = Synset(
            words, definition, _LEXNAMES.get(int(fields[1]), "other"), parents
        )
    return synsets


def _read_index(path: Path) -> dict[str, tuple[int, ...]]:
    senses: dict[str, tuple[int, ...]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        fields = line.split()
        count = int(fields[2])
        senses[fields[0].replace("_", " ")] = tuple(int(offset) for offset in fields[-count:])
    return senses


def _read_exceptions(path: Path) -> dict[str, str]:
    pairs = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {pair[0].replace("_", " "): pair[1].replace("_", " ") for pair in pairs}
