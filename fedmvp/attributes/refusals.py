"""Telling that a language model declines to answer, in the languages models are used in.

An apology alone is not a refusal: asked again, a model may say "Sorry for the mistake, here is the
list".
"""

from __future__ import annotations

import re

__all__ = ["is_refusal"]

_CANNOT = (
    # English: not being able to *do* what was asked; "I cannot see the picture, but" is none.
    r"\bi(?:'m| am) (?:not able|unable|not allowed|not permitted|not comfortable)\b"
    r"(?! to (?:see|view))",
    r"\bi (?:can't|cannot|can not|could not|couldn't|won't|will not|must decline to|"
    r"have to decline to|decline to|refuse to|would rather not)(?: (?:help|assist|provide|comply|"
    r"fulfil|answer|describe|do (?:that|this|so)|create|generate|list|continue|discuss|support|"
    r"give|write|respond|produce|offer|share|participate)|\s*(?:[.,;!]|$))",
    r"\bi(?:'d| would) rather not\b|\bi (?:must|have to) (?:decline|refuse)\b",
    r"\b(?:against|violates?) (?:my|our|the) (?:guidelines|policy|policies|principles)\b",
    # German, Dutch, Swedish, Danish, Norwegian.
    r"\bich (?:kann|darf)\b[^.!?\n]{0,60}\bnicht\b",
    r"\bnicht in der lage\b",
    r"\bik (?:kan|mag)\b[^.!?\n]{0,60}\b(?:niet|geen)\b",
    r"\bjag kan (?:tyvärr )?inte\b|\bjeg kan (?:desværre|dessverre|beklageligvis)? ?ikke\b",
    # French, Spanish, Portuguese, Italian, Catalan, Romanian.
    r"\bje (?:ne|n') ?(?:peux|puis|suis|saurais)\b[^.!?\n]{0,30}(?:\bpas\b|aider|fournir|répondre)",
    r"\bno (?:puedo|me es posible|debo|estoy en condiciones)\b",
    r"\b(?:não|nao) (?:posso|consigo|me é possível)\b",
    r"\bnon (?:posso|sono in grado|mi è possibile)\b|\bno puc\b|\bnu pot\b",
    # Polish, Czech, Russian, Ukrainian.
    r"\bnie mogę\b|\bnie jestem w stanie\b|\bnemohu\b",
    r"\bя не (?:могу|можу|буду|в состоянии)\b",
    r"\bне мо(?:гу|жу) (?:с этим |вам |з цим )?(?:пом|допом|отв|пред|выпол)",
    # Turkish, Indonesian, Vietnamese.
    r"\b(?:yardımcı olama|yapama|cevap vereme|sağlayama)\w*",
    r"\bsaya tidak (?:bisa|dapat)\b|\btôi không thể\b",
    # Chinese, Japanese, Korean.
    r"(?:我|本人|抱歉|对不起|對不起|不好意思)[^。！？\n]{0,12}"
    r"(?:无法|無法|不能|不便|没办法|沒辦法)",
    r"(?:お(?:答え|応え|手伝い)|提供|回答|対応|説明|記述)(?:する(?:こと)?[はが]?|は|が|を)?"
    r"(?:でき|いたしかね|致しかね)(?:ません|ない|ます)",
    r"(?:도와|도움|답변|제공|설명)[^.!?\n]{0,20}(?:수 ?(?:는 |가 )?없|어렵)",
    # Arabic, Persian, Hebrew, Hindi.
    r"لا (?:أستطيع|يمكنني)|لا أقدر|نمی‌?توانم|(?:אני )?לא (?:יכול|יכולה) ל|נמנע ממני",
    r"(?:नहीं कर सकत|नहीं दे सकत|असमर्थ हू|मदद नहीं)",
)
_REFUSAL = re.compile("|".join(f"(?:{pattern})" for pattern in _CANNOT))
_PLAIN = str.maketrans({"’": "'", "‘": "'", "`": "'"})


def is_refusal(text: str) -> bool:
    """Tell whether a text says that its writer cannot or will not do what was asked.

    Examples
    --------
    >>> is_refusal("I'm sorry, but I can't help with that.")
    True
    >>> is_refusal("I apologise for the mistake. Here is the corrected list:")
    False
    """
    return _REFUSAL.search(text.translate(_PLAIN).casefold()) is not None
