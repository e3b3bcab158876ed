"""A strict reader of the report's page: nothing is repaired, everything is written down."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img"}


class Checker(HTMLParser):
    """Collects what a browser would silently repair."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: Counter[str] = Counter()
        self.links: set[str] = set()
        self.references: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _attributes(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids[values["id"] or ""] += 1
        for name in ("href", "src", "srcset", "action", "data"):
            if name in values:
                self.references.append(values[name] or "")
        if tag == "th" and "scope" not in values:
            self.problems.append(f"<th> without scope at {self.getpos()}")
        if tag == "svg" and "aria-hidden" not in values and not values.get("aria-label"):
            self.problems.append(f"<svg> without a name at {self.getpos()}")
        if tag == "img" and not (
            values.get("alt") and (values.get("src") or "").startswith("data:")
        ):
            self.problems.append(f"<img> without a text, or from elsewhere at {self.getpos()}")
        if tag in ("script", "iframe", "object", "embed"):
            self.problems.append(f"<{tag}> at {self.getpos()}")


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.problems == []
    assert checker.open == []
    return checker
