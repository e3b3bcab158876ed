"""Texts that CLIP cuts off are counted with its tokenizer, and named."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmvp.attributes.sentences import sentence
from fedmvp.attributes.text_lengths import CONTEXT_LENGTH, CutText, cut_texts, report_cut_texts
from fedmvp.clip.tokens import count_tokens, tokenize
from fedmvp.errors import AttributeTextError

CHINESE = "细长而弯曲的灰色脖子上有许多深浅不一的黑色纵向条纹和白色的柔软羽毛覆盖着胸部两侧"
PHOTO = [("a photo of a", "")]


def test_a_short_text_of_many_tokens_is_found() -> None:
    assert len(CHINESE) < 42
    classes = {"heron": ("long beak", CHINESE), "kettle": ("curved spout",)}
    (cut,) = cut_texts(classes, PHOTO)
    assert cut.class_name == "heron" and cut.text.endswith(CHINESE) and cut.tokens > CONTEXT_LENGTH
    # It is cut indeed: the last token but one is not the text's last.
    ids = tokenize([cut.text], CONTEXT_LENGTH)
    longer = tokenize([cut.text], cut.tokens)
    assert ids[0, -1] != 0 and longer[0, -1] == ids[0, -1] and longer[0, -2] != ids[0, -2]


def test_every_domain_has_its_say() -> None:
    text = "word " * 70
    ways = [("a", ""), ("a high quality photo of a", "as a standalone object, ")]
    assert not cut_texts({"cat": (text,)}, ways[:1])
    assert [cut.tokens > CONTEXT_LENGTH for cut in cut_texts({"cat": (text,)}, ways)] == [True]


def test_warnings_name_class_and_text_and_refusal_is_an_error() -> None:
    cut = [CutText(f"class {n}", f"text {n}", 80 + n) for n in range(7)]
    lines = report_cut_texts("things", cut, refuse=False)
    assert lines[0] == (
        "warning: attributes of things, class 'class 0': 'text 0' has 80 tokens; CLIP reads 77, "
        "the rest is cut off"
    )
    assert len(lines) == 6 and "2 more texts" in lines[-1]
    with pytest.raises(AttributeTextError, match=r"80 tokens.*7 such texts.*text 0.*long_texts"):
        report_cut_texts("things", cut, refuse=True)
    assert report_cut_texts("things", [], refuse=True) == []


@settings(deadline=None, max_examples=100)
@given(st.text(min_size=1, max_size=80), st.sampled_from(["heron", "İstanbul ﬃ", "&lt;b&gt;"]))
def test_the_quick_look_misses_none(attribute: str, name: str) -> None:
    text = sentence(name, attribute, prefix="a photo of a")
    (tokens,) = count_tokens([text])
    found = cut_texts({name: (attribute,)}, PHOTO)
    assert [cut.tokens for cut in found] == ([tokens] if tokens > CONTEXT_LENGTH else [])


def test_tokens_are_counted_as_they_are_made() -> None:
    texts = ["long neck", "u-shaped rubber seal", CHINESE[:9], "crème brûlée", "ﬃ &amp; İ", "🦒"]
    made = (tokenize(texts, 200) != 0).sum(dim=1).tolist()
    assert count_tokens(texts) == made


def test_short_texts_need_no_torch() -> None:
    code = (
        "import sys; from fedmvp.attributes.text_lengths import cut_texts; "
        "assert not cut_texts({'heron': ('long dagger beak',)}, [('a photo of a', '')]); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_text_cut_for_the_backbone_is_logged(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path))
    tokenize(["one two three four five six"], 8)
    assert not caplog.records  # Full, and not cut.
    tokenize(["a cat", "one two three four five six seven"], 8)
    assert "1 of 2 texts are longer than 8 tokens" in caplog.text and "seven" in caplog.text
