"""What mkdocs does to a page before it renders it: links that leave docs/ become file names.

They lead somewhere in the repository (tests/unit/test_citations.py), where a site has no page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["on_page_markdown"]

_DOCS = Path(__file__).parent.resolve()
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)([^)#\s]+)(#[\w-]+)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page's text with its outward links replaced; mkdocs calls it by name."""
    folder = (_DOCS / page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(_DOCS):
            return link[0]
        name = target.relative_to(_DOCS.parent).as_posix()
        words = link[1].strip("`")
        return f"`{name}`" if words in (name, link[2], target.name) else f"{words} (`{name}`)"

    # Code is left as it is.
    parts = re.split(r"(```.*?```|`[^`\n]*`(?!\]))", markdown, flags=re.DOTALL)
    return "".join(p if p.startswith("`") else _LINK.sub(replaced, p) for p in parts)
