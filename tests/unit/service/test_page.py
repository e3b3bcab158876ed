"""The page to drop an image on, in a real browser: drop, bad file, phone, keyboard, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.serving import picture
from fedmvp.prediction.limits import Limits
from fedmvp.prediction.served import ServedModel
from tests.unit.service.axe import AXE, violations
from tests.unit.service.browser import CHROMIUM, Page, open_page
from tests.unit.service.serving import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine"),
]
_ROLES = {"checkbox", "combobox", "button", "link", "img", "image", "textbox", "group"}


@pytest.fixture(scope="module")
def address(model: ServedModel) -> Iterator[str]:
    with served(model, Limits(pixels=400_000)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_page(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page, address: str) -> Iterator[Page]:
    browser.problems.clear()
    browser.asked.clear()
    browser.open(address)
    browser.await_("document.getElementById('dataset').length")
    yield browser
    assert all(url.startswith((address, "blob:", "data:")) for url in browser.asked), browser.asked


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(picture(90, 60, "PNG"))
    return path


def result(page: Page) -> str:
    """Return the best class once the page shows one."""
    found: str = page.await_(
        "!document.getElementById('result').hidden && document.getElementById('heading').innerText"
    )
    return found


@pytest.mark.parametrize("way", ["choose", "drop"])
def test_an_image_is_classified(page: Page, model: ServedModel, photo: Path, way: str) -> None:
    page.choose("#image", photo) if way == "choose" else page.drop("#drop", photo)
    (answer,) = model.predict([photo.read_bytes()])
    assert result(page) == answer["class"]
    rows = page.value("document.getElementById('rows').innerText").splitlines()
    assert [row.split("\t")[0] for row in rows] == sorted(
        answer["probabilities"], key=lambda name: -answer["probabilities"][name]
    )
    assert rows[0].endswith(f"{100 * answer['probability']:.1f} %")
    page.await_("document.getElementById('picture').naturalWidth > 200")
    assert page.value("document.activeElement.id") == "heading"
    assert not page.problems


def test_a_bad_file_is_one_line_and_the_next_is_served(
    page: Page, photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "notes.png"
    bad.write_text("no image", encoding="utf-8")
    page.choose("#image", bad)
    line = page.await_("document.getElementById('error').innerText")
    assert line.startswith("image 0 of the request: image cannot be decoded")
    assert page.value("document.getElementById('result').hidden")
    page.choose("#image", photo)
    assert result(page)
    assert page.value("document.getElementById('error').innerText") == ""


def test_it_fits_a_phone(page: Page, photo: Path) -> None:
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=640,
        deviceScaleFactor=2,
        mobile=True,
    )
    try:
        page.choose("#image", photo)
        result(page)
        page.await_("document.getElementById('picture').naturalWidth > 200")
        assert page.value("document.documentElement.scrollWidth") <= 360
        for selector in ("#dataset", "#image"):
            height = page.value(f"document.querySelector({selector!r}).offsetHeight")
            assert height >= 44, selector  # a finger's width
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def test_everything_is_reached_by_the_keyboard(page: Page, photo: Path) -> None:
    page.choose("#image", photo)
    result(page)
    page.value("document.activeElement.blur()")
    reached = []
    for _ in range(8):
        page.press("Tab")
        reached.append(page.value("document.activeElement.id || document.activeElement.className"))
        outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or reached[-1] == "", reached
    assert {"dataset", "attention", "image", "wide"} <= set(reached)


def test_everything_has_a_name_and_every_text_contrast(page: Page, photo: Path) -> None:
    """What axe looks at first: names, headings, language, title, unique ids, contrast 4.5 : 1."""
    page.choose("#image", photo)
    result(page)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in _ROLES and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
    assert page.value("document.documentElement.lang") == "en"
    assert page.value("document.title")
    assert page.value("document.querySelectorAll('h1').length") == 1
    ids = page.value("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.call("Emulation.setEmulatedMedia", features=features)
        ground = page.value("getComputedStyle(document.documentElement).colorScheme") and (
            (255, 255, 255) if scheme == "light" else (18, 18, 18)
        )
        for selector in ("h1", "td", "a", "#error", "#status"):
            colour = page.value(f"getComputedStyle(document.querySelector({selector!r})).color")
            ink = tuple(map(int, re.findall(r"\d+", colour)[:3]))
            assert contrast(ink, ground) >= 4.5, (scheme, selector, ink)
    page.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.skipif(AXE is None, reason="AXE names no axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, photo: Path, tmp_path: Path, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=features)
    try:
        assert violations(page) == []
        page.choose("#image", photo)
        result(page)
        page.await_("document.getElementById('picture').naturalWidth > 200")
        assert violations(page) == []
        bad = tmp_path / "notes.png"
        bad.write_text("no image", encoding="utf-8")
        page.choose("#image", bad)
        page.await_("document.getElementById('error').innerText")
        assert violations(page) == []
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.skipif(AXE is None, reason="AXE names no axe.min.js")
def test_axe_finds_nothing_in_the_description(browser: Page, address: str) -> None:
    browser.open(f"{address}docs")
    assert violations(browser) == []


def contrast(ink: tuple[int, ...], ground: tuple[int, ...]) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    light, dark = sorted(map(luminance, (ink, ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: tuple[int, ...]) -> float:
    """Return the relative luminance of an sRGB colour."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (v / 255 for v in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_description_is_a_page(browser: Page, address: str) -> None:
    browser.problems.clear()
    browser.open(f"{address}docs")
    assert "POST /classify" in browser.value("document.body.innerText")
    assert not browser.problems
