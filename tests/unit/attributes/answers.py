"""Usable answers as language models write them, with what a person would take from each.

Every answer is to the question for three attributes of a heron, except where a case says otherwise.
"""

# ruff: noqa: E501 (an answer is easier to read in one line)

from __future__ import annotations

__all__ = ["BULLETS", "TAKEN"]

TITLES = ("Long beak", "Grey neck", "Thin legs")
THREE = ("long beak", "grey neck", "thin legs")
JSON = '{"attributes": ["long beak", "grey neck", "thin legs"]}'
BULLETS = "- long beak\n- grey neck\n- thin legs"

#: Name, answer, attributes.
TAKEN: list[tuple[str, str, tuple[str, ...]]] = [
    # JSON, and nearly JSON.
    ("JSON object", JSON, THREE),
    ("JSON list", '["long beak", "grey neck", "thin legs"]', THREE),
    ("fence", f"```json\n{JSON}\n```", THREE),
    ("fence on one line", f"```json {JSON} ```", THREE),
    ("fence without language", f"```{JSON}```", THREE),
    (
        "fence with prose around",
        f"Sure! Here you go:\n\n```json\n{JSON}\n```\n\nHope it helps!",
        THREE,
    ),
    ("JSON after prose on one line", f"Here is the JSON: {JSON} Let me know!", THREE),
    ("trailing comma", '{"attributes": ["long beak", "grey neck", "thin legs",],}', THREE),
    (
        "trailing comma over lines",
        '{\n  "attributes": [\n    "long beak",\n    "grey neck",\n    "thin legs",\n  ],\n}',
        THREE,
    ),
    (
        "comma in a string",
        '["long, thin beak", "grey neck ,]", "grey neck", "thin legs"]',
        ("long, thin beak", "grey neck", "thin legs"),
    ),
    (
        "Python list",
        "attributes = ['long beak', 'grey neck', \"heron's thin legs\", 'thin legs']",
        THREE,
    ),
    ("curly quotes", "{“attributes”: [“long beak”, “grey neck”, “thin legs”]}", THREE),
    (
        "another key",
        '{"class": "heron", "visual_features": ["long beak", "grey neck", "thin legs"]}',
        THREE,
    ),
    (
        "objects in a list",
        '[{"attribute": "long beak", "reason": "it spears fish"}, {"attribute": "grey neck", '
        '"reason": "seen"}, {"attribute": "thin legs", "reason": "it wades"}]',
        THREE,
    ),
    ("object of labels", '{"attributes": {"beak": "long", "neck": "grey", "legs": "thin"}}', THREE),
    ("object of numbers", '{"1": "long beak", "2": "grey neck", "3": "thin legs"}', THREE),
    (
        "object of lists",
        '{"attributes": {"head": ["long beak"], "body": ["grey neck", "thin legs"]}}',
        THREE,
    ),
    ("Markdown in JSON", '["**long beak**", "_grey_ neck", "- thin legs"]', THREE),
    ("draft, then answer", f'Draft: ["a", "b", "c"]\n\nBetter:\n{JSON}', THREE),
    # Reasoning.
    (
        "think block",
        "<think>\nThe user wants attributes.\n- I must avoid naming the class\n- short phrases\n"
        f"- no sounds at all\n</think>\n\n{BULLETS}",
        THREE,
    ),
    ("thinking block before JSON", f"<thinking>['a b', 'c d', 'e f']</thinking>{JSON}", THREE),
    (
        "only the end of a think block",
        f"- one idea here\n- two\n- three\n</think>\n{BULLETS}",
        THREE,
    ),
    (
        "reasoning in brackets",
        f"[THINK]- wide eyes\n- red eyes\n- blue eyes[/THINK]{BULLETS}",
        THREE,
    ),
    (
        "reasoning in channels",
        "<|channel|>analysis<|message|>- we need JSON\n- a b\n- c d<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{JSON}<|return|>",
        THREE,
    ),
    (
        "reasoning in plain words",
        "Let me think about the rules:\n- avoid the class name\n- I should keep it visual\n"
        f"- keep to six words\n- do not repeat\n\nHere is my answer:\n\n{BULLETS}",
        THREE,
    ),
    ("answer tags", f"<reasoning>it wades</reasoning>\n<answer>\n{BULLETS}\n</answer>", THREE),
    # Markdown in and around items.
    (
        "bold titles with reasons",
        "1. **Long Beak**: seen on most\n2. **Grey Neck**: often curved\n3. **Thin Legs**: for wading",
        ("Long Beak", "Grey Neck", "Thin Legs"),
    ),
    (
        "colon inside the bold",
        "- **Long beak:** used for spearing\n- **Grey neck:** S-shaped\n- **Thin legs:** stilt-like",
        TITLES,
    ),
    (
        "bold titles with dashes",
        "* **Long beak** – used for fish\n* **Grey neck** - often curved\n* **Thin legs** — like stilts",
        TITLES,
    ),
    ("bold numbers", "**1. Long beak**\n**2. Grey neck**\n**3.** Thin legs", TITLES),
    (
        "headings with numbers",
        "### 1. Long beak\nIt spears fish.\n\n### 2. Grey neck\nOften curved.\n\n### 3. Thin legs\nStilts.",
        TITLES,
    ),
    (
        "bold lines alone",
        "**Long beak**: it spears\n\n**Grey neck**: curved\n\n**Thin legs**: stilts",
        TITLES,
    ),
    (
        "emphasis within",
        "- a **long** beak\n- *grey* neck\n- __thin__ `legs`",
        ("a long beak", "grey neck", "thin legs"),
    ),
    (
        "links and pictures",
        "- [long beak](https://example.org/a)\n- ![grey neck](neck.png)\n- thin [legs][1]\n- thin legs",
        THREE,
    ),
    ("footnotes", "- long beak[1]\n- grey neck [2]\n- thin legs【4†source】", THREE),
    ("check boxes", "- [ ] long beak\n- [x] grey neck\n- [X] thin legs", THREE),
    ("emoji", "✅ long beak\n🪶 grey neck\n✔️ thin legs", THREE),
    ("emoji in bullets", "- 🐦 long beak\n- grey neck ✨\n- 🦵🏽 thin legs", THREE),
    ("keycaps", "1️⃣ long beak\n2️⃣ grey neck\n3️⃣ thin legs", THREE),
    (
        "entities and escapes",
        "- long &amp; sharp beak\n- grey\\-blue neck\n- thin legs",
        ("long & sharp beak", "grey-blue neck", "thin legs"),
    ),
    ("HTML", "<ul><li>long beak</li><li><b>grey</b> neck</li><li>thin legs<br></li></ul>", THREE),
    ("quoted items with commas", "- \"long beak\",\n- “grey neck”,\n- 'thin legs'", THREE),
    (
        "a quotation within",
        '- sign that reads "STOP"\n- grey neck\n- thin legs',
        ('sign that reads "STOP"', "grey neck", "thin legs"),
    ),
    ("underscores", "- long_beak\n- grey_neck\n- thin_legs", THREE),
    ("block quote", "> - long beak\n> - grey neck\n> - thin legs", THREE),
    (
        "wrapped items",
        "- long, dagger-like\n  beak\n- grey neck\n- thin legs",
        ("long, dagger-like beak", "grey neck", "thin legs"),
    ),
    (
        "reasons below items",
        "1. Long beak\n   It spears fish.\n\n2. Grey neck\n   Often curved.\n\n3. Thin legs\n   Stilts.",
        TITLES,
    ),
    ("special tokens", f"{BULLETS}<|im_end|>", THREE),
    ("end of text", f"{BULLETS}</s>", THREE),
    # Labels.
    (
        "aspects as labels",
        "- Shape: long beak\n- Colour: grey neck\n- **Key feature 3:** thin legs",
        THREE,
    ),
    ("parts as labels", "- Beak: long\n- Neck: grey\n- Legs: thin", THREE),
    ("parts named again", "- Beak: long beak\n- Neck: grey neck\n- Legs: thin legs", THREE),
    # Nested lists.
    (
        "groups of attributes",
        "- **Head:**\n  - long beak\n- **Body**\n  - grey neck\n  - thin legs",
        THREE,
    ),
    (
        "groups with numbers",
        "1. Head\n   - long beak\n2. Body\n   - grey neck\n   - thin legs",
        THREE,
    ),
    (
        "reasons as inner items",
        "1. **Long beak**\n   - used for spearing\n   - seen in profile\n2. **Grey neck**\n"
        "   - often curved\n3. **Thin legs**\n   - like stilts\n   - pale yellow",
        TITLES,
    ),
    (
        "lists under headings",
        "## Head\n- long beak\n\n## Body\n- grey neck\n\n## Legs\n- thin legs",
        THREE,
    ),
    # Tables.
    ("table", "| Attribute |\n|---|\n| long beak |\n| grey neck |\n| thin legs |", THREE),
    (
        "table with numbers and reasons",
        "| # | Attribute | Why |\n|--:|:--|:--|\n| 1 | **long beak** | spears fish |\n"
        "| 2 | grey neck | seen |\n| 3 | thin legs | wading |",
        THREE,
    ),
    (
        "table of aspects",
        "Part | Look\n--- | ---\nShape | long beak\nColour | grey neck\nLegs | thin",
        THREE,
    ),
    # Markers of many kinds.
    ("more than asked for", f"{BULLETS}\n- one too many", THREE),
    (
        "a dialogue that goes on",
        f"{BULLETS}\n\nQ: And a kettle?\nA: By:\n- a lid\n- a spout\n- a rim",
        THREE,
    ),
    ("prose around", f"Certainly! A list:\n\n{BULLETS}\n\nWould you like more?", THREE),
    ("numbers in JSON", '["1. long beak", "2) grey neck", "- [ ] thin legs"]', THREE),
    ("what it cannot see", f"I can't see the picture, but these are typical:\n{BULLETS}", THREE),
    ("an apology, then the list", f"Sorry for the mistake! I've fixed the list:\n{BULLETS}", THREE),
    ("other bullets", "• long beak\n● grey neck\n▪ thin legs", THREE),
    ("dashes", "– long beak\n— grey neck\n-thin legs", THREE),
    ("brackets", "(1) long beak\n2) grey neck\n3 - thin legs", THREE),
    ("letters", "a) long beak\nb) grey neck\n(c) thin legs", THREE),
    ("old line ends", "- long beak\r- grey neck\r- thin legs", THREE),
    # Other scripts.
    (
        "Chinese",
        "以下是三个特征：\n1、长长的嘴\n2、灰色的脖子\n3、细长的腿",
        ("长长的嘴", "灰色的脖子", "细长的腿"),
    ),
    (
        "Chinese labels",
        "- 颜色：灰色羽毛\n- 形状：细长的身体\n- **特征**：长长的嘴",
        ("灰色羽毛", "细长的身体", "长长的嘴"),
    ),
    (
        "full width",
        "（１）长长的嘴\n（２）灰色的脖子\n（３）细长的腿",
        ("长长的嘴", "灰色的脖子", "细长的腿"),
    ),
    ("Japanese", "・長いくちばし\n・灰色の首\n・細い脚", ("長いくちばし", "灰色の首", "細い脚")),
    (
        "Japanese in JSON",
        '{"attributes": ["「長いくちばし」", "灰色の首。", "細い脚"]}',
        ("長いくちばし", "灰色の首", "細い脚"),
    ),
    ("Korean", "① 긴 부리\n② 회색 목\n③ 가는 다리", ("긴 부리", "회색 목", "가는 다리")),
    (
        "Arabic",
        "١. منقار طويل\n٢. رقبة رمادية\n٣. أرجل رفيعة",
        ("منقار طويل", "رقبة رمادية", "أرجل رفيعة"),
    ),
    ("Hindi", "१. लंबी चोंच\n२. धूसर गर्दन\n३. पतले पैर", ("लंबी चोंच", "धूसर गर्दन", "पतले पैर")),
    (
        "Russian",
        "— **длинный клюв**: острый\n— серая шея\n— тонкие ноги",
        ("длинный клюв", "серая шея", "тонкие ноги"),
    ),
    (
        "Greek and accents",
        "* μακρύ ράμφος\n* cou gris élancé\n* dünne Beine",
        ("μακρύ ράμφος", "cou gris élancé", "dünne Beine"),
    ),
]
