"""The drawing of a partition: area is the number of images."""

from __future__ import annotations

import re

import pytest

from fedmvp.report.svg import area_grid


def discs(svg: str) -> list[tuple[float, float, float]]:
    """Return x, y and diameter of every disc."""
    found = []
    for width, path in re.findall(r'class="disc" stroke-width="([\d.]+)" d="([^"]*)"', svg):
        points = re.findall(r"M([\d.]+) ([\d.]+)h0", path)
        found += [(float(x), float(y), float(width)) for x, y in points]
    return sorted(found)


def test_area_is_the_count() -> None:
    drawn = discs(area_grid("t", ["a", "b"], [[16, 0, 4], [0, 1, 16]], "classes"))
    assert len(drawn) == 4  # nothing where there is nothing
    size = {round(width, 1) for _, _, width in drawn}
    largest = max(size)
    areas = sorted((width / largest) ** 2 * 16 for _, _, width in drawn)
    assert areas == pytest.approx([1, 4, 16, 16], rel=0.1)
    columns = sorted({x for x, _, _ in drawn})
    assert len(columns) == 3 and columns[1] - columns[0] == pytest.approx(
        columns[2] - columns[1], 1
    )


def test_many_clients_have_no_labels_and_names_are_escaped() -> None:
    many = area_grid("t", [f"client {i}" for i in range(200)], [[1]] * 200, "classes")
    assert "client 7" not in many and len(discs(many)) == 200
    assert "<b>" not in area_grid("<b>", ["<b>"], [[1]], "<b>")
