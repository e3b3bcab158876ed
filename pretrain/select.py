"""Choose the icons, name what they show and write their captions.

Output: `work/icons.jsonl`, one icon a line, and `work/sets.json` (licence and count of each set).
Run: `python -m pretrain.select`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pretrain.names import is_skipped, phrase
from pretrain.recipe import MADE, Icons, load_recipe
from pretrain.wordnet import Synset, WordNet

__all__ = ["Icon", "read_icons", "select"]


@dataclass(frozen=True)
class Icon:
    """One icon and all that is said of it.

    `group` is emoji, colour, thing, plain or validation; `concept` is what balances the sampling;
    `exact` tells that the whole name is a dictionary noun.
    """

    set: str
    slug: str
    group: str
    concept: str
    exact: bool
    name: str
    other_names: tuple[str, ...]
    gloss: str
    hypernyms: tuple[str, ...]


def read_icons(path: Path = MADE / "icons.jsonl") -> list[Icon]:
    """Read the selection back."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [
        Icon(
            **{
                **row,
                "other_names": tuple(row["other_names"]),
                "hypernyms": tuple(row["hypernyms"]),
            }
        )
        for row in rows
    ]


def _groups(name: str, info: dict[str, Any], rules: Icons) -> str | None:
    """Return the group of a whole set, or None when it is left out."""
    if name in rules.benchmark or name in rules.excluded:
        return None
    if info["license"].get("spdx") in rules.excluded_licences:
        return None
    if name in rules.validation:
        return "validation"
    if name in rules.emoji:
        return "emoji"
    if info.get("category") in rules.excluded_categories:
        return None
    return "colour" if info.get("palette") else "thing"


def _sense(words: list[str], wordnet: WordNet) -> tuple[str, bool, Synset | None]:
    """Return concept, whether the whole phrase names it, and its sense."""
    whole = " ".join(words)
    sense = wordnet.thing(whole)
    if sense is not None:
        return wordnet.lemma(whole) or whole, True, sense
    for start in range(1, len(words)):
        head = " ".join(words[start:])
        sense = wordnet.thing(head)
        if sense is not None:
            return wordnet.lemma(head) or head, False, sense
    sense = wordnet.thing(words[0], among=2) if len(words) > 1 else None
    if sense is not None:
        return wordnet.lemma(words[0]) or words[0], False, sense
    return whole, False, None


def _captions(
    name: str, sense: Synset | None, exact: bool, wordnet: WordNet
) -> tuple[list[str], str, tuple[str, ...]]:
    """Return synonyms, definition and parents that hold for an icon called `name`."""
    if sense is None:
        return [], "", ()
    synonyms = [word.lower() for word in sense.words[:3]] if exact else []
    parents = [parent.words[0] for parent in wordnet.ancestors(sense, 3)]
    if not exact:
        parents.insert(0, sense.words[0])
    # The definition of a mere part of the name ("bell with slash") would mislead.
    return [word for word in synonyms if word != name], sense.gloss * exact, tuple(parents[:3])


def _set_icons(
    name: str, collection: dict[str, Any], group: str, wordnet: WordNet, rules: Icons
) -> Iterator[Icon]:
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias, link in collection.get("aliases", {}).items():
        if set(link) == {"parent"}:  # no rotation: the same drawing under another name
            aliases[link["parent"]].append(alias)
    suffixes = tuple(collection.get("suffixes") or ())
    emoji = group == "emoji"
    variants: Counter[str] = Counter()
    things: Counter[str] = Counter()
    plain = 0
    for slug, drawing in collection["icons"].items():
        if drawing.get("hidden") or is_skipped(slug):
            continue
        text = phrase(slug, suffixes, strip_style=not emoji)
        words = text.split()
        if not any(word.isalpha() and len(word) > 1 for word in words) or len(words) > 8:
            continue
        variants[text] += 1
        if not emoji and variants[text] > rules.variants_per_concept:
            continue
        concept, exact, sense = _sense(words, wordnet)
        own_group = group
        if sense is None and not emoji and group != "validation":
            own_group = "plain"
            plain += 1
            if plain > rules.plain_per_set:
                continue
        things[concept] += 1
        if not emoji and things[concept] > rules.things_per_concept:
            continue
        if group == "validation" and not exact:
            continue
        synonyms, gloss, parents = _captions(text, sense, exact, wordnet)
        others = {phrase(alias, suffixes, strip_style=not emoji) for alias in aliases[slug]}
        others = {other for other in [*others, *synonyms] if other and other != text}
        yield Icon(
            name,
            slug,
            own_group,
            text if emoji else concept,
            exact,
            text,
            tuple(sorted(others)),
            gloss,
            parents,
        )


def select(collections: Path, wordnet: WordNet, rules: Icons) -> tuple[list[Icon], dict[str, Any]]:
    """Walk all icon sets.

    Returns
    -------
    icons, sets
        The chosen icons in a fixed order, and licence, author and count by set.
    """
    icons: list[Icon] = []
    sets: dict[str, Any] = {}
    for path in sorted(collections.glob("*.json")):
        collection = json.loads(path.read_text(encoding="utf-8"))
        info = collection["info"]
        group = _groups(path.stem, info, rules)
        if group is None:
            continue
        chosen = list(_set_icons(path.stem, collection, group, wordnet, rules))
        icons.extend(chosen)
        sets[path.stem] = {
            "title": info["name"],
            "author": info["author"]["name"],
            "licence": info["license"].get("spdx", info["license"]["title"]),
            "group": group,
            "icons": len(chosen),
        }
    return icons, sets


def main() -> None:
    """Write the selection."""
    recipe = load_recipe()
    icons, sets = select(
        MADE / "sources" / "icons", WordNet(MADE / "sources" / "wordnet"), recipe.icons
    )
    with (MADE / "icons.jsonl").open("w", encoding="utf-8") as file:
        for icon in icons:
            file.write(json.dumps(asdict(icon), ensure_ascii=False) + "\n")
    (MADE / "sets.json").write_text(
        json.dumps(sets, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(len(icons), dict(Counter(icon.group for icon in icons)))


if __name__ == "__main__":
    main()
