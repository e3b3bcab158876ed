"""The commands in documents: every ``sh`` block, and why it is not run where it is marked so.

``python`` blocks of how-to pages are run, too: those of a page are one script.

``<!-- not run: REASON -->`` stands in the line above such a block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

_BLOCK = re.compile(
    r"^(?:[ ]*<!-- not run: (?P<reason>[^\n]+) -->\n)?(?P<indent>[ ]*)```sh\n(?P<body>.*?)^[ ]*```",
    flags=re.DOTALL | re.MULTILINE,
)
# What made the numbers of these pages takes minutes to hours: benchmarks/, tested by its parts.
MEASURED = {
    f"docs/{name}.md"
    for name in (
        "analysis",
        "decisions",
        "glossary",
        "method",
        "performance",
        "probe",
        "when_it_pays",
    )
}


@dataclass(frozen=True)
class Block:
    """A block of commands; `reason` says why it is not run, None: it is."""

    page: str
    reason: str | None
    commands: tuple[str, ...]


def pages() -> list[str]:
    """Return the pages whose commands a reader types, README first."""
    found = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]
    own = [name for name in found if name not in MEASURED and not _results(name)]
    return ["README.md", "CONTRIBUTING.md", *own]


def _results(name: str) -> bool:
    return Path(name).stem.startswith("results")


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, found["reason"], commands(found["body"])) for found in _BLOCK.finditer(text)
    ]


def commands(body: str) -> tuple[str, ...]:
    """Return the commands of a block: a line each, without comments.

    Examples
    --------
    >>> commands("a \\\\\\n  b   # both\\n# none\\nc")
    ('a b', 'c')
    """
    whole = re.sub(r"\\\n\s*", "", body)
    lines = (re.sub(r"(?:^|\s+)#.*", "", line).strip() for line in whole.splitlines())
    return tuple(line for line in lines if line)


def runnable(page: str) -> list[str]:
    """Return the commands of a page that are run, in order."""
    return [line for block in blocks(page) if block.reason is None for line in block.commands]


def sample(page: str) -> str:
    """Return the YAML file a page shows, the first if there are several."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(r"^```yaml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None, page
    return found[1]


def script(page: str) -> str | None:
    """Return the Python of a how-to page; None where there is none."""
    text = (ROOT / page).read_text(encoding="utf-8") if "/howto/" in page else ""
    found = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(found) or None
