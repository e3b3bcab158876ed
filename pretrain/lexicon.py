"""Texts without images, for the text tower alone: WordNet nouns, definitions, visual phrases.

Outputs: `work/lexicon.json` ([text, takes a template] pairs) and `work/lexicon_embeddings.npy`.
Run: `python -m pretrain.lexicon`.
"""

from __future__ import annotations

import json
import re
from itertools import product

import numpy as np

from fedmvp.seeds import numpy_generator
from pretrain.recipe import MADE, load_recipe
from pretrain.select import read_icons
from pretrain.texts import embed
from pretrain.wordnet import PHYSICAL, WordNet

__all__ = ["visual_phrases", "wordnet_texts"]

# A small grammar of what one can see of a thing.
_LOOKS = """
    long short thin thick round flat curved pointed sharp wide narrow large small tall tiny big
    striped spotted smooth rough shiny fluffy furry hairy bushy scaly feathered wrinkled hooked
    forked folded open closed hollow solid transparent glossy wooden metal woven twisted spiral
    upright drooping webbed jagged rounded oval square triangular rectangular cylindrical
    bulging slender stubby floppy crossed glowing dotted""".split()  # noqa: SIM905
_COLOURS = """
    red orange yellow green blue purple pink brown black white grey golden silver""".split()  # noqa: SIM905
_PARTS = """
    neck tail ears nose trunk horns antlers tusks beak bill wings feathers fur mane legs paws
    hooves claws fins scales shell snout whiskers teeth eyes tongue body head back belly stripes
    spots antennae tentacles pincers crest comb wattle pouch hump quills coat face mouth stem
    leaves petals seeds skin peel pulp crust filling topping layers frosting cream sauce slices
    bun bread noodles rice cheese bubbles steam foam straw stick bone handle blade lid bowl cup
    plate glass bottle label wheels windows doors roof tower walls chimney stairs sail mast hull
    deck engine propeller rotor cabin seat pedals handlebars headlights bumper screen buttons
    keys dial knob lens cable antenna strap buckle zipper pocket sleeves collar laces sole heel
    brim pages cover spine string frame net ball racket bow arrow rope hook chain spring needle
    thread ribbon bell lamp flame candle sparks stars clouds waves mountains snow sand trunk
    branches roots trees flowers grass rays rings surface pattern edges corners outline shape
    lines holes tip point base top rim bottom""".split()  # noqa: SIM905
_WHOLES = """round shape;oval shape;square shape;rectangular shape;triangular shape;star shape;
    heart shape;crescent shape;cylindrical shape;cone shape;spiral shape;flat top;two wheels;
    four wheels;four legs;two legs;six legs;eight legs;eight arms;no legs;two handles;
    one handle;two wings;two long ears;two horns;one horn;two humps""".replace("\n", "").split(";")
_CLAUSE = re.compile(r"\b(?:having|with|that has|characterized by) ([a-z][a-z ,'-]{6,70})")
_LATIN = re.compile(r"^(genus|family|order|class|phylum|superfamily|subfamily|suborder|tribe) ")


def visual_phrases(count: int, seed: int) -> list[str]:
    """Return `count` phrases such as "long curved neck" or "brown and white fur"."""
    draw = numpy_generator(seed, "visual phrases")
    phrases = {" ".join(pair) for pair in product(_LOOKS[:24] + _COLOURS, _PARTS)}
    while len(phrases) < 3 * count:
        look, other = draw.choice(_LOOKS, 2)
        colour, second = draw.choice(_COLOURS, 2)
        part = draw.choice(_PARTS)
        forms = (
            f"{look} {part}",
            f"{look} {colour} {part}",
            f"{colour} and {second} {part}",
            f"{look} {other} {part}",
            f"{colour} body with {second} {part}",
        )
        phrases.add(str(forms[int(draw.integers(len(forms)))]))
    chosen = draw.permutation(sorted(phrases))[:count]
    return [*(whole.strip() for whole in _WHOLES), *(str(phrase) for phrase in chosen)]


def wordnet_texts(wordnet: WordNet) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Return names, definitions and (name, visual clause) pairs of drawable nouns."""
    names: list[str] = []
    glosses: list[str] = []
    clauses: list[tuple[str, str]] = []
    for sense in wordnet.synsets.values():
        if sense.lexname not in PHYSICAL or _LATIN.match(sense.words[0]):
            continue
        words = [word for word in sense.words if word == word.lower() and len(word.split()) <= 3]
        if not words or (sense.lexname == "person" and len(words[0].split()) > 2):
            continue
        names.extend(words[:2])
        if len(sense.gloss) <= 110:
            glosses.append(sense.gloss)
        clauses.extend((words[0], clause.strip()) for clause in _CLAUSE.findall(sense.gloss))
    return names, glosses, clauses


def main() -> None:
    """Write the lexicon."""
    seed = load_recipe().text_phase.seed
    draw = numpy_generator(seed, "lexicon")
    names, glosses, clauses = wordnet_texts(WordNet(MADE / "sources" / "wordnet"))
    phrases = visual_phrases(12000, seed)
    things = sorted({icon.name for icon in read_icons() if icon.exact})
    sentences = [f"{draw.choice(things)}, which has {phrase}" for phrase in phrases]
    sentences += [f"{name}, which has {clause}" for name, clause in clauses]
    entries = dict.fromkeys(sentences, True) | dict.fromkeys(glosses, False)
    entries |= dict.fromkeys([*phrases, *(clause for _, clause in clauses)], False)
    entries |= dict.fromkeys(names, True)
    print(
        len(entries),
        "texts:",
        len(names),
        "names",
        len(glosses),
        "definitions",
        len(clauses),
        "clauses",
    )
    np.save(MADE / "lexicon_embeddings.npy", embed(list(entries), MADE / "sources" / "minilm"))
    (MADE / "lexicon.json").write_text(
        json.dumps(list(entries.items()), ensure_ascii=False), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
