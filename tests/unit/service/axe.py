"""axe-core, run in a page. It is no dependency: `AXE` names its file, axe.min.js."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.unit.service.browser import Page

__all__ = ["AXE", "violations"]

AXE = os.environ.get("AXE")


def violations(page: Page) -> list[dict[str, Any]]:
    """Return what axe finds wrong with a page as it is: rule, and the elements it is about.

    Its rules of good practice count as those of WCAG 2.2 do.
    """
    assert AXE is not None
    page.value("delete window.found")
    page.value(Path(AXE).read_text(encoding="utf-8"))
    page.value(
        "axe.run().then((f) => { window.found = JSON.stringify(f.violations.map((v) => "
        "({rule: v.id, help: v.help, where: v.nodes.map((n) => n.html)}))); })"
    )
    found: list[dict[str, Any]] = json.loads(page.await_("window.found"))
    return found
