from __future__ import annotations

from fedmvp.attributes.stats import attribute_stats


def test_figures() -> None:
    figures = attribute_stats(
        {
            "ant": ("six legs", "thin waist"),
            "bee": ("Thin waist", "six legs"),
            "black cat": ("green eyes", "black fur", "a cat in black", "long tail"),
        }
    )
    assert (figures.classes, figures.attributes, figures.per_class) == (3, 8, (2, 4))
    assert figures.shared == {"six legs": ("ant", "bee"), "thin waist": ("ant", "bee")}
    assert figures.identical == (("ant", "bee"),)
    assert figures.naming == (("black cat", "a cat in black"),)
    assert figures.overlapping == (("black cat", "black fur"),)
    assert figures.characters[1] == 14 and figures.words == (2.25, 4)


def test_tokens_are_counted() -> None:
    # Counts of CLIP's own tokenizer for the same texts, start and end left out.
    measured = {
        "long neck": 2,
        "irregular brown patches": 3,
        "black and white stripes": 4,
        "u-shaped rubber seal": 5,
        "translucent gelatinous bell": 5,
        "灰色的脖子": 14,
    }
    for text, tokens in measured.items():
        assert attribute_stats({"thing": (text,)}).tokens == (tokens, tokens), text
