"""Write the model card from the files that hold its numbers.

Run: `python -m pretrain.card` (after `pretrain.export` and `pretrain.evaluate`).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import safe_open

from fedmvp.files import write_text
from pretrain.checkpoints import checkpoint_folder
from pretrain.export import FOLDER_OF_WEIGHTS
from pretrain.loop import UNITS
from pretrain.recipe import FOLDER, MADE, Recipe, load_recipe

__all__ = ["accuracy_table", "card", "coincidences", "hours", "leakage_table", "progress",
           "set_table"]  # fmt: skip
_NAMED = 12  # sets that the leakage table gives a row of their own


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def accuracy_table(report: dict[str, Any], kind: str) -> str:
    """Return one row a dataset: chance, mean over styles, each style, in percent."""
    datasets = report["datasets"]
    styles = sorted({style for row in datasets.values() for style in row[kind]} - {"mean"})
    lines = ["| dataset | classes | chance | **mean** | " + " | ".join(styles) + " |",
             "|---" * (4 + len(styles)) + "|"]  # fmt: skip
    for name, row in datasets.items():
        cells = [_percent(row[kind][style]) if style in row[kind] else "" for style in styles]
        lines.append(f"| {name} | {row['classes']} | {_percent(1 / row['classes'])} | "
                     f"**{_percent(row[kind]['mean'])}** | {' | '.join(cells)} |")  # fmt: skip
    return "\n".join(lines)


def set_table(sets: dict[str, Any]) -> str:
    """Return one row a licence: icons and sets."""
    by_licence: dict[str, list[str]] = defaultdict(list)
    for name, entry in sets.items():
        if entry["group"] != "validation":
            by_licence[entry["licence"]].append(name)
    lines = ["| licence | icons | sets |", "|---|---|---|"]
    for licence, names in sorted(by_licence.items(), key=lambda pair: -len(pair[1])):
        count = sum(sets[name]["icons"] for name in names)
        lines.append(f"| {licence} | {count} | {', '.join(sorted(names))} |")
    return "\n".join(lines)


def progress(weights: Path) -> dict[str, str]:
    """Say how many examples each phase saw, from the weights file's metadata."""
    with safe_open(weights, framework="pt") as file:
        seen = file.metadata()
    return {phase: f"{int(count):,}" if int(count) else "not run" for phase, count in seen.items()}


def leakage_table(screen: dict[str, Any]) -> str:
    """Return dropped copies by set: a row for the sets with most, one for all others."""
    rows = list(screen["by_set"].items())
    lines = ["| set | exact copies | near copies |", "|---|---|---|"]
    lines += [f"| {name} | {row['exact']} | {row['near']} |" for name, row in rows[:_NAMED]]
    rest = [row for _, row in rows[_NAMED:]]
    if rest:
        lines.append(f"| {len(rest)} other sets | {sum(row['exact'] for row in rest)} | "
                     f"{sum(row['near'] for row in rest)} |")  # fmt: skip
    return "\n".join(lines)


def coincidences(attributes: Iterable[str], texts: Iterable[str]) -> tuple[int, int]:
    """Return how many attribute phrases are training texts, too, and how many there are."""
    known = {text.lower() for text in texts}
    phrases = [phrase.lower() for phrase in attributes]
    return sum(phrase in known for phrase in phrases), len(phrases)


def hours(log: Path, unit: str) -> float | None:
    """Return about how long a phase trained, from its log's rates; None without a log."""
    if not log.exists():
        return None
    seconds, before = 0.0, 0
    for row in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        done = int(row[unit])
        seconds += (done - before if done > before else 0) / max(1, row[f"{unit}_per_s"])
        before = done
    return seconds / 3600


def _recorded(report: dict[str, Any]) -> list[str]:
    """Return all attribute phrases shipped for the benchmark's datasets."""
    folder = FOLDER.parent / "fedmvp" / "attributes" / "recorded"
    files = [(folder / f"{task}.jsonl").read_text(encoding="utf-8") for task in report["datasets"]]
    return [phrase for text in files for line in text.splitlines()
            for phrase in json.loads(line)["attributes"]]  # fmt: skip


def _duration() -> str:
    """Say how long each phase took."""
    spent = {name: hours(checkpoint_folder(name) / "log.jsonl", unit)
             for name, unit in UNITS.items()}  # fmt: skip
    known = [f"{name} {value:.1f} h" for name, value in spent.items() if value is not None]
    return ", ".join(known) if known else "not recorded"


def card(recipe: Recipe, report: dict[str, Any], screen: dict[str, Any], sets: dict[str, Any],
         shared: tuple[int, int], duration: str, note: str = "") -> str:  # fmt: skip
    """Return the model card, Markdown.

    Parameters
    ----------
    report, screen, sets : dict
        `evaluation.json`, `screen.json` and `sets.json`.
    shared : tuple of int
        What `coincidences` found of the benchmark's attributes among the training texts.
    duration : str
        How long the phases took.
    note : str
        Goes to the top.
    """
    model = recipe.model
    phases = progress(FOLDER_OF_WEIGHTS / "model.safetensors")
    emoji = sum(sum(screen["by_set"].get(name, {}).values()) for name in recipe.icons.emoji)
    attributes = ""
    if all("attributes only" in row for row in report["datasets"].values()):
        attributes = ("\n### Attribute phrases alone, without the class name\n\n"
                      + accuracy_table(report, "attributes only") + "\n")  # fmt: skip
    remark = f"\n> {note}\n" if note else ""
    return f"""# PictoCLIP
{remark}
A small CLIP for drawings of things: icons, pictograms, emoji. It is open_clip's own `CLIP` class:

```python
import open_clip
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:<this folder>")
tokenizer = open_clip.get_tokenizer("local-dir:<this folder>")
```

Image tower: ViT, {model.image_size} px, patch {model.patch_size}, width {model.width}, \
{model.layers} blocks. Text tower: CLIP's vocabulary and context, width {model.text_width}, \
{model.text_layers} blocks. Joint space: {model.embed_dim} dimensions. Weights in fp16.

## Accuracy

Zero-shot top-1 in percent, all classes of a dataset as candidates, mean over drawing styles.
Every number comes from `python -m pretrain.evaluate`, which loads this folder with open_clip and
reads the benchmark's archives in `data/emoji`.

### "an icon of a {{}}."

{accuracy_table(report, "icon")}

### Plain class name

{accuracy_table(report, "plain")}
{attributes}
## Data

{screen["icons"]:,} icons of the npm package @iconify/json {recipe.sources.iconify}, rendered at \
{recipe.icons.size_px} px, with their names, aliases, WordNet 3.0 synonyms, definitions and \
parents, and colour words read off the drawing as captions. Sets named in \
`pretrain/params.yaml` are left out: brands, file types, licences that forbid commercial use or \
are GPL. Sentence embeddings of captions come from all-MiniLM-L6-v2 (Apache-2.0).

{set_table(sets)}

CC-BY sets ask for attribution: each set's author is in the package's `collections.json`. Some
sets are share-alike (CC-BY-SA, in the table); no image of theirs is shipped here, and whether
weights inherit such terms is unsettled: leave those sets out in `params.yaml` where that matters.

## No benchmark image in training

The eight benchmark styles ({", ".join(recipe.icons.benchmark)}) are left out by name. Every
remaining icon was compared with all benchmark images: perceptual hash within \
{recipe.screen.phash_bits} of 64 bits, or 16 px thumbnails within {recipe.screen.thumb_rms} RMS. \
{screen["copies"]:,} of {screen["icons"]:,} icons matched and were dropped: {screen["exact"]:,} \
exact copies (the same pixels) and {screen["copies"] - screen["exact"]:,} near ones \
({screen["by_hash"]:,} by hash, {screen["by_thumbnail"]:,} by thumbnail, some by both), {emoji} \
of them emoji.

{leakage_table(screen)}

Older emoji \
sets remain in training under the same names (noto-v1, emojione-v1, emojione-monotone, \
streamline-emojis): the test is of new drawing styles, not of unseen things, and \
emojione-monotone holds black \
silhouettes of drawings whose colour versions the benchmark's emojione style contains, which may \
help on that style; and emojione and fxemoji lack the newer emoji.

The attribute texts shipped for the benchmark are not training texts. By coincidence {shared[0]} \
of the {shared[1]:,} phrases are also a caption of some icon or an entry of the lexicon.

## Recipe

`pretrain/params.yaml` holds every number; `make pretrain` runs it and resumes where it stopped
stopped.

1. Image tower against projected sentence embeddings of all captions of each icon, sampled
   softmax with {recipe.image_phase.negatives:,} negatives, patches without ink dropped first \
({recipe.image_phase.keep_tokens} of {(model.image_size // model.patch_size) ** 2} kept), \
augmentation of ground, ink, colour, pose and line art; Muon and AdamW; averaged weights.
   Images seen: {phases["image"]}.
2. Text tower against the sentence embeddings, in random templates, on captions, WordNet and a
   small grammar of visual phrases. Texts seen: {phases["text"]}.
3. Both together on captions through the text tower. Images seen: {phases["joint"]}.

Trained on two CPU cores shared with other work; hours on them, from the training logs: \
{duration}. The image and the joint phase were shortened while they ran, to the
time there was, so part of each saw a slower decline of the learning rate than `params.yaml` now
gives: the recipe run anew ends near these weights, not at them.

## What the benchmark was used for

The two held-out icon sets ({", ".join(recipe.icons.validation)}) were to choose hyper-parameters,
and there was no search. But accuracy on the benchmark (every fourth of its images) was
watched during training, too, and what was seen there led to changes: of the image phase's loss
and patch dropping, and of the shares of the kinds of captions. So the numbers above are of a
model developed with a look at the benchmark, and are somewhat optimistic
for drawings in other styles. No image of it was trained on.

## Limits

Drawings on plain grounds only; photographs are out of its domain. English nouns; words that
neither the captions nor the lexicon hold have hardly trained embeddings. Names are those of icon
sets, with their biases and mistakes; it must not be used to judge people.
"""


def main() -> None:
    """Write the card beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--note", default="", help="a remark on these weights")
    note = parser.parse_args().note
    report = _read(FOLDER_OF_WEIGHTS / "evaluation.json")
    texts = [*_read(MADE / "texts.json"), *(text for text, _ in _read(MADE / "lexicon.json"))]
    text = card(load_recipe(), report,
                _read(MADE / "screen.json"), _read(MADE / "sets.json"),
                coincidences(_recorded(report), texts), _duration(), note)  # fmt: skip
    write_text(FOLDER_OF_WEIGHTS / "MODEL_CARD.md", text)


if __name__ == "__main__":
    main()
