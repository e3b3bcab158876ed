"""What code and documents cite is in the repository: a page, and the place on it."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from tests.paths import ROOT

_CITED = re.compile(r"(?:\b|\()(docs/[\w/]+\.md)(?:#([\w-]+))?")
_LINKED = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([\w-]+))?\)")
# A sheet nobody has but who wrote it, and its codes.
_OUTSIDE = re.compile(
    r"\bfacts/|\bfacts:|\bfact sheet\b|\.\./shared|design\.md|\b(?:D|B)\d+[a-z]?, D\d"
)
_KINDS = {".py", ".yaml", ".md", ".toml", ".cff", ".j2"}


@cache
def tracked() -> tuple[Path, ...]:
    """Return the text files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return tuple(
        path for name in listed if (path := ROOT / name).suffix in _KINDS and path.is_file()
    )


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a Markdown page: explicit ids, and headings as GitHub slugs them."""
    text = page.read_text(encoding="utf-8")
    found = set(re.findall(r'<a id="([\w-]+)"', text))
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE):
        plain = re.sub(r"[`*]", "", re.sub(r"<[^>]+>", "", heading)).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return frozenset(found)


def cited_by(path: Path, text: str) -> list[tuple[Path, str]]:
    """Return the pages, and the places on them, that a file refers to."""
    cited = [(ROOT / page, anchor) for page, anchor in _CITED.findall(text)]
    if path.suffix != ".md":
        return cited
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
    return cited + [
        ((path.parent / page).resolve() if page else path, anchor)
        for page, anchor in _LINKED.findall(prose)
    ]


def test_citations_lead_somewhere() -> None:
    wrong, count = [], 0
    for path in tracked():
        for page, anchor in cited_by(path, path.read_text(encoding="utf-8")):
            count += 1
            if not page.exists():
                wrong.append(f"{path.relative_to(ROOT)}: {page.name} is not in the repository")
            elif anchor and anchor not in anchors(page):
                wrong.append(f"{path.relative_to(ROOT)}: {page.name} has no #{anchor}")
    assert not wrong
    assert count > 300


def test_nothing_outside_the_repository_is_cited() -> None:
    found = [
        f"{path.relative_to(ROOT)} cites {match.group()!r}, which a reader does not have"
        for path in tracked()
        if path != Path(__file__).resolve()
        for match in _OUTSIDE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found
