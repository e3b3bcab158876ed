"""Answers that cannot be used, to the question for three attributes of a heron."""

from __future__ import annotations

from tests.unit.attributes.answers import BULLETS

__all__ = ["REFUSED"]

#: Name, answer, what the complaint tells.
REFUSED: list[tuple[str, str, str]] = [
    *(
        (f"refusal in {language}", f"{text}\n\n{BULLETS}", "a refusal")
        for language, text in {
            "English": "I'm sorry, but I can’t help with that. Here is what I can do:",
            "English, politely": "As an AI, I am unable to describe this. Instead:",
            "German": "Es tut mir leid, ich kann das leider nicht beschreiben.",
            "French": "Désolé, je ne peux pas vous aider avec cette demande.",
            "English, unwilling": "I would rather not.",
            "Spanish": "Lo siento, no puedo ayudar con eso.",
            "Portuguese": "Desculpe, não posso ajudar com isso.",
            "Italian": "Mi dispiace, non posso aiutarti con questa richiesta.",
            "Dutch": "Het spijt me, ik kan hier niet mee helpen.",
            "Polish": "Przykro mi, nie mogę w tym pomóc.",
            "Russian": "Извините, я не могу помочь с этим запросом.",
            "Turkish": "Üzgünüm, bu konuda yardımcı olamam.",
            "Chinese": "抱歉，我无法提供这些内容。以下是我能做的：",
            "Japanese": "申し訳ありませんが、お答えできません。",
            "Korean": "죄송하지만 도와드릴 수 없습니다.",
            "Arabic": "عذرًا، لا أستطيع مساعدتك في ذلك.",
            "Hindi": "क्षमा करें, मैं इसमें आपकी मदद नहीं कर सकता।",
            "Vietnamese": "Xin lỗi, tôi không thể giúp bạn việc này.",
        }.items()
    ),
    ("refusal alone", "I can't assist with that request.", "a refusal"),
    ("refusal after the list", f"{BULLETS}\n\nI cannot provide more on this topic.", "a refusal"),
    ("refusal in JSON", '{"attributes": ["I\'m sorry, I can\'t help with that"]}', "is a remark"),
    ("reasoning without end", f"<think>\nThe user wants three.\n{BULLETS}", "reasoning has no end"),
    ("reasoning cut off in channels", f"<|channel|>analysis<|message|>{BULLETS}", "no end"),
    ("nothing after reasoning", f"<think>{BULLETS}</think>\n", "empty"),
    ("cut off JSON", '```json\n{"attributes": ["long beak", "grey neck", "thi', "not valid JSON"),
    (
        "remarks",
        "- I must avoid naming the class\n- Let me keep to the rules\n- never repeat a phrase",
        "is a remark",
    ),
    ("half a bold word", "- long** beak\n- grey* neck\n- thin` legs", "left over from formatting"),
    ("LaTeX", "- $\\text{long beak}$\n- grey neck\n- thin legs", "left over from formatting"),
    ("a broken table", "- long | beak\n- grey neck\n- thin legs", "left over from formatting"),
    ("addresses", "- https://example.org/beak\n- grey neck\n- thin legs", "an address"),
    ("a bracket that is open", "- long beak (used\n- grey neck\n- thin legs", "unclosed"),
    ("headings as items", "- Visual attributes\n- grey neck\n- thin legs", "is a heading"),
    ("a label with nothing", "- Head:\n- grey neck\n- thin legs", "punctuation"),
    (
        "a label that cannot be joined",
        "- Beak: used for spearing fish\n- grey neck\n- thin legs",
        "a label with a description",
    ),
    ("questions", "- long beak?\n- grey neck\n- thin legs", "is a remark"),
    (
        "its own name in bold",
        "- **Heron**: long beak\n- grey neck\n- thin legs",
        "names its own class",
    ),
    ("numbers in a table", "| a |\n|---|\n| 1 |\n| 2 |\n| 3 |", "0 usable attributes"),
    ("rules", "- - -\n* * *\n---", "neither"),
]
