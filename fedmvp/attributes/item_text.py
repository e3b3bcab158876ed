"""One item of a model's list: from ``**Long neck**: seen on most`` to ``Long neck``.

The text a reader would take for the attribute is kept; if it still looks like formatting, a label
or a remark, it is refused, so that the model is asked again.
"""

from __future__ import annotations

import re
import unicodedata

from markdown_it import MarkdownIt
from markdown_it.token import Token

from fedmvp.attributes.refusals import is_refusal

__all__ = ["decoration", "is_label", "plain_item"]

_MARKDOWN = MarkdownIt("commonmark")
# Special tokens of chat models, tags, footnotes and citations, check boxes, bullets in JSON.
_NO_TEXT = re.compile(
    r"<\|[^|>]*\|>|</?[A-Za-z_][\w:.-]*(?:\s[^<>]*)?/?>|\[\^?\d{1,3}\]|【[^】]*】"
    r"|\A\s*(?:(?:[-*+•–]|\d{1,2}[.)])\s+)?\[[ xX✓✔]?\](?=\s)|\A\s*(?:[-*+•–]|\d{1,2}[.)])\s+"
)
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’", "«": "»", "「": "」", "『": "』"}
_LABELLED = re.compile(r"(?P<label>[^:：—–]{1,60}?)(?:\s*：\s*|\s*:\s+|\s+[—–]\s+)(?P<text>.+)")
_SEPARATED = re.compile(r"\s*(?:[:：]|\s[-–—]\s)\s*")

# Labels that say what kind of thing follows, and are no part of it.
_ASPECTS = frozenset(
    re.findall(
        r"\w+",
        """
    shape form colour color colouring coloring colouration coloration hue texture pattern marking
    material size build posture pose stance surrounding setting habitat environment background
    context scene appearance look style design structure silhouette outline proportion finish
    feature attribute characteristic trait detail aspect property description point item cue
    farbe muster größe haltung umgebung merkmal oberfläche
    forme couleur motif matière taille environnement caractéristique
    forma textura patrón tamaño postura entorno rasgo colore motivo ambiente cor padrão tamanho
    цвет форма текстура узор материал размер поза фон признак
    颜色 顏色 形状 形狀 纹理 紋理 材质 材質 图案 圖案 大小 姿态 环境 特征 外观 属性
    色 形 質感 模様 素材 大きさ 姿勢 環境 特徴 색 색상 형태 모양 질감 무늬 재질 크기 자세 특징
""",
    )
)
_VAGUE = frozenset(
    re.findall(
        r"\w+",
        """
    visual key main other common typical distinctive distinguishing overall the a of and general
    notable physical list final answer
""",
    )
)
# In a description of one of these words, a label cannot simply be put at the end.
_LINKS = frozenset(
    re.findall(
        r"\w+",
        """
    a an the with without of on in at for from to by as like than that which who is are was has have
    can may often usually used seen found covered resembling
""",
    )
)
_LONGEST_DESCRIPTION = 5
# Brackets that take a digit or a mark apart are dealt with before; what is left is formatting.
_FORMATTING = frozenset("*`|[]{}<>~\\^#$=")
_PAIRS = (("(", ")"), ("（", "）"), ("「", "」"), ("“", "”"), ("«", "»"))
_REMARK = re.compile(
    r"(?:i|we|you|they)(?:'\w+)?\s+(?:must|should|need|can|cannot|can't|could|will|won't|would|have|"
    r"am|are|think|want|may|might|do|don't|also|was|shall|ask)\b"
    r"|i'(?:m|ll|ve|d)\b|let(?:'s| me| us)\b|the user\b|(?:would|do) you\b|feel free\b|hope\b"
    r"|(?:avoid|do not|don't|never|please|remember|ensure|make sure|need to|must|should)\b"
    r"|each (?:one|attribute|item|must|should)\b|no (?:mention|class names?|repeat)"
    r"|note(?::| that)",
    re.IGNORECASE,
)
# Beyond it, an item is far too long whatever is taken off.
_LONGEST_ITEM = 1_000


def plain_item(raw: str) -> str:
    """Return an item as plain text: no Markdown, tags, check box, outer quotes, label or reason.

    Examples
    --------
    >>> plain_item("[x] **Long neck**: seen on most"), plain_item("Colour: *deep* blue")
    ('Long neck', 'deep blue')
    >>> plain_item("Beak: long and thin"), plain_item("a [long](http://x.y) `beak`")
    ('long and thin beak', 'a long beak')
    """
    if len(raw) > _LONGEST_ITEM:
        return raw
    inline = _MARKDOWN.parseInline(_NO_TEXT.sub("", raw).strip())[0].children or []
    text = _bare(_text(inline))
    if strong := _leading_strong(inline):
        rest = text.removeprefix(strong)
        if text != rest and (mark := _SEPARATED.match(rest)) and rest[mark.end() :]:
            return _bare(_resolved(_bare(strong), rest[mark.end() :].strip()) or text)
    if labelled := _LABELLED.fullmatch(text):
        return _bare(_resolved(labelled["label"].strip(), labelled["text"].strip()) or text)
    return text


def is_label(raw: str) -> bool:
    """Tell whether an item is a heading of what is below it: ``**Head:**``, ``Colour``."""
    text = _bare(_text(_MARKDOWN.parseInline(raw[:_LONGEST_ITEM])[0].children or []))
    words = text.rstrip(":：").split()
    return text.endswith((":", "：")) or len(words) < 2 or _is_aspect(words)


def decoration(text: str) -> str | None:
    """Return what makes a plain item no attribute, or None when it is one."""
    if left := next((c for c in text if c in _FORMATTING), None):
        return f"holds {left!r}, left over from formatting"
    if "://" in text or "www." in text:
        return "holds an address"
    if any(unicodedata.category(c) == "So" for c in text):
        return "holds a symbol"
    if text.count('"') % 2 or any(text.count(start) != text.count(end) for start, end in _PAIRS):
        return "has an unclosed quote or bracket"
    if text[:1] in "-:,;.)!?/&+_" or text[-1:] in ":：(-/&+_":
        return "begins or ends with punctuation"
    if _LABELLED.fullmatch(text):
        return "is a label with a description, not one phrase"
    if text.endswith(("?", "？", "!", "！")) or _REMARK.match(text) or is_refusal(text):
        return "is a remark, not an attribute"
    if _is_aspect(text.split()):
        return "is a heading"
    return None


def _text(tokens: list[Token]) -> str:
    """Return what is read of inline tokens: their text, a code's, a picture's caption."""
    parts = []
    for token in tokens:
        if token.type in ("text", "code_inline", "image", "html_inline"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return "".join(parts)


def _leading_strong(tokens: list[Token]) -> str:
    """Return the text an item begins with in bold, italics, code or a link; empty for none."""
    opened = next((i for i, token in enumerate(tokens) if token.content or token.nesting), None)
    if opened is None:
        return ""
    if tokens[opened].type == "code_inline":
        return tokens[opened].content
    depth = 0
    for place in range(opened, len(tokens)):
        depth += tokens[place].nesting
        if depth == 0:
            inside = tokens[opened + 1 : place] if place > opened else []
            return _text(inside)
    return ""


def _bare(text: str) -> str:
    """Take spaces, outer quotes, symbols and final commas off, and underscores out."""
    text = re.sub(r"(?<=\w)_(?=\w)", " ", text)
    while True:
        shorter = text.strip().rstrip(",;.，；。、،").strip()
        if shorter and _is_symbol(shorter[0]):
            shorter = shorter[1:]
        if shorter and _is_symbol(shorter[-1]):
            shorter = shorter[:-1]
        end = _QUOTES.get(shorter[:1])
        inner = shorter[1:-1]
        if end and len(shorter) > 1 and shorter[-1] == end and not {shorter[0], end} & {*inner}:
            shorter = inner
        if shorter == text:
            return text
        text = shorter


def _is_symbol(character: str) -> bool:
    """Tell whether it is an emoji, an arrow or dingbat, or what joins and varies those."""
    # Not U+FFFD, which stands for what could not be decoded.
    drawn = unicodedata.category(character) == "So" and character != "\ufffd"
    return drawn or character in "\ufe0f\u200d→⇒" or "\U0001f3fb" <= character <= "\U0001f3ff"


def _is_aspect(words: list[str]) -> bool:
    """Tell whether words only say what kind of thing follows: ``colour``, ``Key features 1``."""
    core = [word.strip("().:").casefold() for word in words]
    core = [word for word in core if word not in _VAGUE and not word.isdecimal()]
    return bool(words) and all(_singular(word) in _ASPECTS for word in core)


def _singular(word: str) -> str:
    return word if word in _ASPECTS else word.removesuffix("s")


def _resolved(label: str, text: str) -> str | None:
    """Return the attribute of ``label: text``; None when it is unclear."""
    words = label.split()
    last = words[-1].casefold() if words else ""
    if not words or _is_aspect(words) or _singular(last) in _ASPECTS:
        return text
    if len(words) > 1:
        return label  # A phrase of its own; what follows says why or where.
    said = [word.strip(",.").casefold() for word in text.split()]
    if last in said:
        return text
    short = len(said) <= _LONGEST_DESCRIPTION and not _LINKS & {*said}
    if short and label.isascii() and label.isalpha():
        return f"{text.rstrip('.')} {label.lower()}"
    return None
