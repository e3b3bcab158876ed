"""What code and documents cite is in the repository: a page, and the place on it."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", tracked(), ids=lambda path: str(path.relative_to(ROOT)))
def test_citations_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cited = [(ROOT / page, anchor) for page, anchor in _CITED.findall(text)]
    if path.suffix == ".md":
        cited += [
            ((path.parent / page).resolve() if page else path, anchor)
            for page, anchor in _LINKED.findall(
                re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)
            )
        ]
    for page, anchor in cited:
        assert page.exists(), f"{page.name} is not in the repository"
        if anchor:
            assert anchor in anchors(page), f"{page.name} has no #{anchor}"


@pytest.mark.parametrize("path", tracked(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_outside_the_repository_is_cited(path: Path) -> None:
    if path == Path(__file__).resolve():
        return
    found = _OUTSIDE.search(path.read_text(encoding="utf-8"))
    assert found is None, f"cites {found.group()!r}, which a reader does not have"
