"""The page in a real browser: it loads nothing, runs without an error, and shows what the files say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tamis.blocks import Page, PageSection, Tile, Tiles
from tamis.blocks.numbers import typeset
from tamis.comparison.page import write_comparison
from tamis.report.rendering import render
from tamis.wording import name_interval

pytestmark = pytest.mark.slow  # starts a browser
ARTEFACTS = Path(__file__).parents[2] / "build" / "report"
HOSTILE = "<img src=x onerror=alert(1)>"
Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Give a function that opens a file without a network, and fails on requests, errors and dialogs at the end."""
    contexts, heard = [], []

    def opened(path: Path, **options: Any) -> Any:
        context = browser.new_context(offline=True, viewport={"width": 1400, "height": 1000}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: request.url == path.as_uri() or heard.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard == []


def photograph(page: Any, name: str) -> None:
    """Keep a picture of the whole page; a busy machine may need several attempts for one as tall as this."""
    from playwright.sync_api import Error

    for attempt in range(3):
        try:
            page.screenshot(path=ARTEFACTS / name, full_page=True)
        except Error:
            if attempt == 2:
                raise
        else:
            return


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_the_demo_opens_from_disk(demo_run: Path, open_page: Open, scheme: str) -> None:
    page = open_page(demo_run / "report.html", color_scheme=scheme)
    assert page.title() == "demo · tamis report"
    anchors = page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    assert anchors[0] == "#summary"
    for anchor in anchors:
        assert page.locator(anchor).count() == 1
    sizes = page.eval_on_selector_all(
        "figure svg", "all => all.map(svg => svg.getBoundingClientRect().height)"
    )
    assert len(sizes) >= 8
    assert min(sizes) > 100
    # nothing is wider than the window
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    photograph(page, f"demo_{scheme}.png")


def test_no_interval_of_a_tile_breaks_on_a_telephone(tmp_path: Path, open_page: Open) -> None:
    intervals = ("[0.9758, 0.9768]", "[0.99995122, 0.99997134]", "[1,234,567, \N{INFINITY})")
    tiles = Tiles(tuple(Tile("AUC", "0.9763", name_interval(interval)) for interval in intervals))
    (tmp_path / "page.html").write_text(render(Page("a", "", [PageSection("one", "One", (tiles,))], "")))
    page = open_page(tmp_path / "page.html")
    for width in (320, 390, 800):
        page.set_viewport_size({"width": width, "height": 800})
        brackets = page.locator(".tiles .interval span")
        assert brackets.all_text_contents() == list(intervals)
        lines = brackets.evaluate_all("all => all.map(bracket => bracket.getClientRects().length)")
        assert lines == [1, 1, 1]
        inside = page.locator(".tiles div").evaluate_all(
            "all => all.map(tile => tile.scrollWidth <= tile.clientWidth)"
        )
        assert all(inside)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_explorer_writes_no_negative_zero(demo_run: Path, tmp_path: Path, open_page: Open) -> None:
    text = (demo_run / "report.html").read_text()
    begin, data, end = re.split(
        r'(?<=id="explorer-data">)(.*?)(?=</script>)', text, maxsplit=1, flags=re.DOTALL
    )
    cuts = json.loads(data)
    table = cuts["tables"][0]
    for name in ("signal_efficiency", "signal", "rejection"):
        table[name] = [-1e-17] * len(table["thresholds"])
    (tmp_path / "report.html").write_text(begin + json.dumps(cuts) + end)
    page = open_page(tmp_path / "report.html")
    assert page.text_content("#explorer-signal_efficiency") == "0.00%"
    assert not [
        text for text in page.locator("#explorer-panel dd").all_text_contents() if text == "\N{MINUS SIGN}0"
    ]


def test_the_button_turns_light_into_dark(demo_run: Path, open_page: Open) -> None:
    page = open_page(demo_run / "report.html", color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    page.click("#theme")
    assert page.evaluate(paper) != before
    page.click("#theme")
    assert page.evaluate(paper) == before


@pytest.mark.parametrize("place", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("number", [0, 1])
def test_the_explorer_shows_the_numbers_of_the_metrics(
    demo_run: Path, open_page: Open, number: int, place: float
) -> None:
    table = json.loads((demo_run / "metrics.json").read_text())["cuts"]["tables"][number]
    page = open_page(demo_run / "report.html")
    page.select_option("#explorer-score", str(number))
    wanted = min(range(len(table["thresholds"])), key=lambda index: abs(table["thresholds"][index] - place))
    page.fill("#explorer-threshold", str(table["thresholds"][wanted]))
    page.press("#explorer-threshold", "Enter")
    assert int(page.input_value("#explorer-cut")) == wanted
    for quantity in ("signal_efficiency", "rejection", "purity", "signal", "background", "significance"):
        shown = page.get_attribute(f"#explorer-{quantity}", "data-value")
        value = table[quantity][wanted]
        assert (None if shown == "" else float(shown)) == value
    axes = page.locator("#explorer-panel .plots svg text").all_text_contents()
    assert sum(f"score of {' + '.join(table['score_of'])}" in text for text in axes) == 2
    efficiency = f"{100 * table['signal_efficiency'][wanted]:.2f}%"
    assert page.text_content("#explorer-signal_efficiency") == efficiency
    rows = page.locator("#explorer-panel tbody tr").all_text_contents()
    for row, (name, passed) in zip(rows, table["efficiency"].items(), strict=True):
        assert row.startswith(f"{name}{100 * passed[wanted]:.2f}%")


def test_the_explorer_shows_limits_without_background(demo_run: Path, open_page: Open) -> None:
    table = json.loads((demo_run / "metrics.json").read_text())["cuts"]["tables"][0]
    assert table["background_error"][-1] == 0
    page = open_page(demo_run / "report.html")
    page.fill("#explorer-threshold", str(table["thresholds"][-1]))
    page.press("#explorer-threshold", "Enter")
    limits = table["background_limit"], table["rejection_limit"], table["purity_limit"][-1]
    for quantity, relation, limit in zip(("background", "rejection", "purity"), "<>>", limits, strict=True):
        text = page.text_content(f"#explorer-{quantity}")
        if limit is None:
            assert "no event passes" in text
            continue
        assert text.startswith(relation)
        assert "95% CL" in text
    shown = float(page.text_content("#explorer-rejection").split()[1].replace(",", ""))
    assert 0.9 * table["rejection_limit"] < shown <= table["rejection_limit"]
    assert "too little simulated background" in page.text_content("#explorer-significance")


def test_the_slider_moves_the_threshold(demo_run: Path, open_page: Open) -> None:
    page = open_page(demo_run / "report.html")
    page.focus("#explorer-cut")
    before = float(page.input_value("#explorer-threshold"))
    page.keyboard.press("ArrowRight")
    assert float(page.input_value("#explorer-threshold")) > before


def test_tables_sort_by_a_heading(demo_run: Path, open_page: Open) -> None:
    page = open_page(demo_run / "report.html")
    table = page.locator("#overtraining table").first
    heading = table.locator("th", has_text="p, corrected")

    def column() -> list[float]:
        return [
            float(each)
            for each in table.locator("tbody td:last-child").evaluate_all(
                "cells => cells.map(cell => cell.dataset.value)"
            )
        ]

    heading.click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())
    heading.click()
    assert column() == sorted(column(), reverse=True)
    words = table.locator("th").first
    words.focus()
    page.keyboard.press("Enter")
    names = table.locator("tbody td:first-child").all_text_contents()
    assert names == sorted(names, key=str.casefold)


def test_hostile_names_are_shown_as_text(hostile_run: Path, open_page: Open) -> None:
    page = open_page(hostile_run / "report.html")
    assert page.locator("img").count() == 0
    assert HOSTILE in page.locator(".lead").text_content()
    assert page.locator("#explorer-panel tbody td").filter(has_text=HOSTILE).count() == 1
    assert page.locator("figure svg text").filter(has_text="<img src=x").count() >= 1
    # every script of the page is its own
    assert page.locator("script").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_opens_from_disk(
    demo_run: Path, altered: Callable[..., Path], tmp_path: Path, open_page: Open, scheme: str
) -> None:
    runs = [demo_run, altered(demo_run, HOSTILE, noise=0.5, config={"training": {"epochs": 30}})]
    comparison = write_comparison([*runs, altered(demo_run, "twin/run")], tmp_path / "comparison.html")
    page = open_page(tmp_path / "comparison.html", color_scheme=scheme)
    assert page.title().endswith("· tamis comparison")
    sentences = page.locator(".findings li").all_text_contents()
    for sentence, found in zip([pair.sentence for pair in comparison.pairs], sentences[:2], strict=True):
        assert typeset(sentence) in found
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    names = page.locator("figure svg text").filter(has_text="<img src=x")
    assert names.count() == 2
    assert page.locator("figure svg").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    heading = page.locator("#differences th", has_text="p, corrected")
    heading.click()
    assert heading.get_attribute("aria-sort") == "ascending"
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    photograph(page, f"comparison_{scheme}.png")
    # on a telephone, wide tables scroll: no column becomes a column of single letters
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widths = page.eval_on_selector_all(
        ".wraps td", "cells => cells.map(cell => cell.getBoundingClientRect().width)"
    )
    assert min(widths) >= 90


def test_it_can_be_printed(demo_run: Path, open_page: Open) -> None:
    page = open_page(demo_run / "report.html", color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    pdf = ARTEFACTS / "demo.pdf"
    page.pdf(path=pdf, format="A4")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_it_fits_a_telephone(demo_run: Path, browser: Any) -> None:
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto((demo_run / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # a caption is read without scrolling a wide table
    widths = page.evaluate(
        "[...document.querySelectorAll('caption')].map((each) => each.getBoundingClientRect().width)"
    )
    assert max(widths) <= 390
    # figures scroll, so that their text stays large enough
    scales = page.eval_on_selector_all(
        "figure:not(.diagram) .picture svg",
        "all => all.map(svg => svg.getBoundingClientRect().width / parseFloat(svg.style.getPropertyValue('--width')))",
    )
    assert len(scales) >= 4
    assert min(scales) > 0.84
    # the small table of the explorer needs no scrolling
    fits = "(box) => box.scrollWidth <= box.clientWidth"
    assert page.eval_on_selector("#explorer-panel .wide", fits)
    context.close()
