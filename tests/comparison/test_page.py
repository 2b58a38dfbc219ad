"""The page of several runs says what the statistics say, and the command refuses what cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tamis import studies
from tamis.blocks import Cell, Page, Picture, Table
from tamis.blocks.numbers import typeset, with_interval
from tamis.comparison.compute import compare_runs
from tamis.comparison.events import collect_scored_runs
from tamis.comparison.page import build_comparison_page, write_comparison
from tamis.comparison.result import RunComparison
from tamis.config.difference import configuration_differences
from tamis.errors import RequestError
from tamis.pipeline.run import Run
from tamis.random_streams import random_stream
from tamis.runs.read import read_run
from tamis.studies.study import Study

Copy = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]


def read(*folders: Path) -> tuple[list[Run], RunComparison]:
    runs = [read_run(folder) for folder in folders]
    return runs, compare_runs(collect_scored_runs(runs), random_stream(runs[0].config.seed, "comparison"))


def tables(page: Page) -> list[Table]:
    return [block for section in page.sections for block in section.blocks if isinstance(block, Table)]


def values(table: Table) -> set[float]:
    return {cell.value for row in table.rows for cell in row if cell.value is not None}


def test_the_numbers_are_those_of_the_statistics(hostile_run: Path, altered: Copy, tmp_path: Path) -> None:
    runs, comparison = read(hostile_run, altered(hostile_run, "worse", noise=1.0))
    page = build_comparison_page(runs, comparison, tmp_path)
    differences, numbers, *_ = tables(page)
    pair = comparison.pairs[0]
    for each in pair.differences:
        assert {each.first, each.second, each.difference, each.p_value, each.corrected_p_value} <= values(
            differences
        )
    for run in comparison.runs:
        for metrics in run.metrics.values():
            assert {metrics.loss, metrics.accuracy, *metrics.auc} - {None} <= values(numbers)
    by_name = {section.anchor: section for section in page.sections}
    tiles, findings = by_name["summary"].blocks
    assert tiles.kind == "tiles"
    for tile, run in zip(tiles.tiles, comparison.runs, strict=True):
        assert float(tile.value) == pytest.approx(run.metrics["balanced"].loss, rel=1e-2)
    assert findings.kind == "findings"
    assert findings.findings[0].sentence == typeset(pair.sentence)
    assert pair.better == "run"
    assert findings.findings[0].light == "bad"
    marks = {row[-1].light for row in differences.rows}
    assert marks <= {"bad", None}
    assert "bad" in marks


def test_the_better_run_gets_a_tick_and_a_tie_is_told_as_one(
    hostile_run: Path, altered: Copy, tmp_path: Path
) -> None:
    worse, same = altered(hostile_run, "worse", noise=1.0), altered(hostile_run, "same")
    runs, comparison = read(worse, hostile_run, same)
    page = build_comparison_page(runs, comparison, tmp_path)
    findings = page.sections[0].blocks[1]
    assert findings.kind == "findings"
    assert [finding.light for finding in findings.findings] == ["good", "good", "info"]
    runs, comparison = read(hostile_run, same)
    (_, findings), *_ = (
        section.blocks for section in build_comparison_page(runs, comparison, tmp_path).sections
    )
    assert findings.kind == "findings"
    assert findings.findings[0].light == "info"
    assert findings.findings[0].sentence == "Every event has the same scores in run and same."
    assert {row[-1].light for row in tables(build_comparison_page(runs, comparison, tmp_path))[0].rows} == {
        None
    }


def test_configurations_are_shown_as_their_difference(
    hostile_run: Path, altered: Copy, tmp_path: Path
) -> None:
    changed = altered(hostile_run, "changed", noise=0.1, config={"training": {"loss": "focal", "epochs": 9}})
    runs, comparison = read(hostile_run, changed)
    page = build_comparison_page(runs, comparison, tmp_path)
    expected = configuration_differences([run.config for run in runs])
    (table,) = (each for each in tables(page) if each.columns == ("key", "run", "changed"))
    shown = [tuple(cell.text for cell in row) for row in table.rows]
    assert shown == [(row.path, *(value or "\N{EN DASH}" for value in row.values)) for row in expected]
    assert "training.epochs" in [row[0] for row in shown]
    pictures = [block for section in page.sections for block in section.blocks if isinstance(block, Picture)]
    assert [picture.name for picture in pictures] == ["roc_1", "losses"]
    assert "their losses cannot be compared" in pictures[1].sentence


def test_roc_curves_are_those_of_the_compared_scores(
    hostile_run: Path, altered: Copy, tmp_path: Path
) -> None:
    runs, comparison = read(hostile_run, altered(hostile_run, "worse", noise=1.0))
    first, worse = comparison.aligned_runs
    assert first.events.event_id is not None
    assert first.events.event_id.tolist() == worse.events.event_id.tolist()
    for aligned_runs, different in ((comparison.aligned_runs, 2), ((first, first), 1)):
        page = build_comparison_page(runs, replace(comparison, aligned_runs=aligned_runs), tmp_path)
        (picture,) = (
            block
            for section in page.sections
            for block in section.blocks
            if isinstance(block, Picture) and block.name == "roc_1"
        )
        assert len(set(re.findall(r"AUC ([\d.]+)", picture.svg))) == different


def test_runs_of_one_name_are_told_apart_and_linked(hostile_run: Path, altered: Copy, tmp_path: Path) -> None:
    other = altered(hostile_run, "other/run", noise=0.5)
    output = tmp_path / "pages" / "deep" / "page.html"
    comparison = write_comparison([hostile_run, other], output)
    names = [run.name for run in comparison.runs]
    assert names[1] == "other/run"
    assert names[0].endswith("/run")
    links = [unquote(link) for link in re.findall(r'href="([^"#][^"]*)"', output.read_text())]
    pages = {(output.parent / link).resolve() for link in links}
    assert pages == {folder.resolve() / "report.html" for folder in (hostile_run, other)}
    assert not any(link.startswith("/") for link in links)


def test_hostile_names_are_text(hostile_run: Path, altered: Copy, tmp_path: Path) -> None:
    name = '<img src=x onerror=alert(1)>&"'
    first, second = altered(hostile_run, name), altered(hostile_run, "javascript:alert(2)", noise=1.0)
    output = tmp_path / "page.html"
    write_comparison([first, second], output)

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: set[str] = set()
            self.events: list[str] = []
            self.links: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            self.events += [key for key, _ in attrs if key.startswith("on")]
            self.links += [value or "" for key, value in attrs if key in ("href", "src", "xlink:href")]

    found = Tags()
    found.feed(output.read_text())
    assert "img" not in found.tags
    assert found.events == []
    assert not any(link.startswith(("javascript:", "/", "http")) for link in found.links)
    assert "&lt;img src=x" in output.read_text()


def test_a_run_without_a_page_has_no_link(hostile_run: Path, altered: Copy, tmp_path: Path) -> None:
    other = altered(hostile_run, "other", noise=0.5)
    (other / "report.html").unlink()
    runs, comparison = read(hostile_run, other)
    table = tables(build_comparison_page(runs, comparison, tmp_path))[-1]
    assert [bool(row[0].link) for row in table.rows] == [True, False]
    assert Cell("a").link == ""


def test_the_program_writes_the_page_and_says_the_verdict(
    hostile_run: Path, altered: Copy, tmp_path: Path, inside: Command
) -> None:
    worse = altered(hostile_run, "worse", noise=1.0)
    status, output, said = inside("compare", str(hostile_run), str(worse))
    assert status == 0, said
    _, comparison = read(hostile_run, worse)
    assert output.splitlines() == [comparison.pairs[0].sentence, "wrote comparison.html"]
    page = tmp_path / "comparison.html"
    before = page.read_bytes()
    status, _, said = inside("compare", str(hostile_run), str(worse))
    assert status == 2
    assert "comparison.html exists already" in said
    page.write_text("something else")
    assert inside("compare", str(hostile_run), str(worse), "--overwrite")[0] == 0
    assert page.read_bytes() == before


def test_wrong_requests_are_refused(
    hostile_run: Path, altered: Copy, tmp_path: Path, inside: Command
) -> None:
    other = altered(hostile_run, "other", drop=3)
    run = str(hostile_run)
    cases: list[tuple[list[str | Path], str]] = [
        ([run], "a comparison needs at least two runs, found 1"),
        ([run, f"{run}/../run"], "a run is given twice"),
        ([run, tmp_path / "nothing"], "there is no such folder"),
        ([run, other], "it has other test events: 3 of the"),
        ([run, other, "-o", tmp_path], "is a folder; give the name of a file"),
        ([run, other, "-o", hostile_run / "metrics.json" / "a"], "metrics.json is a file"),
        ([run, other, "-o", hostile_run / "report.html", "--overwrite"], "finished run"),
        ([run, other, "-o", tmp_path / "page.json", "--overwrite"], "does not end in .html"),
    ]
    before = (hostile_run / "metrics.json").read_bytes()
    for given, words in cases:
        folders = [Path(each) for each in given if not str(each).startswith("-")]
        output = tmp_path / "comparison.html"
        if "-o" in given:
            output, folders = folders[-1], folders[:-1]
        with pytest.raises(RequestError, match=re.escape(words)):
            write_comparison(folders, output, overwrite="--overwrite" in given)
    for given, words in (cases[0], cases[3]):
        status, _, said = inside("compare", *map(str, given))
        assert status == 2
        assert words in said
    assert (hostile_run / "metrics.json").read_bytes() == before
    assert not (tmp_path / "comparison.html").exists()
    assert inside("compare")[0] == 2


def studies_rows(page: Page) -> list[tuple[str, ...]]:
    (table,) = next(section for section in page.sections if section.anchor == "studies").blocks
    assert isinstance(table, Table)
    return [tuple(cell.text for cell in row) for row in table.rows]


def test_studies_are_compared_by_their_own_quantities(
    hostile_run: Path, altered: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, comparison = read(hostile_run, altered(hostile_run, "other", noise=0.5))
    rows = studies_rows(build_comparison_page(runs, comparison, tmp_path))
    points = runs[0].metrics["working_points"]["sig & Co"]
    assert len(points) == 3
    quantities = [
        f"background rejection at {100 * point['target']:g}% efficiency of sig & Co" for point in points
    ]
    others, sculpting = rows[: len(quantities) + 1], rows[len(quantities) + 1 :]
    assert {row[0] for row in sculpting} == {"Sculpting of spectators"}
    # the distance correlation and three shapes, of each class
    classes = next(iter(runs[0].metrics["sculpting"]["spectators"].values()))
    assert len(sculpting) == len(runs[0].metrics["sculpting"]["spectators"]) * len(classes) * 4
    assert [row[:2] for row in others] == [
        *(("Performance", quantity) for quantity in quantities),
        ("Overtraining", "overtrained"),
    ]
    for row, point in zip(others, points, strict=False):
        low, high = point["background_rejection_interval"]
        assert row[2] == with_interval(point["background_rejection"], (low, high))[0]
    overtrained = runs[0].metrics["overtraining"]["permutation_test"]["overtrained"]
    assert others[-1][2] == ("yes" if overtrained else "no sign")

    toy = Study(
        name="toy",
        title="Toy",
        result=float,
        compute=lambda _context: 0.0,
        keys=dict,
        metrics=lambda _result: {},
        section=lambda _result: (),
        comparison=lambda result: {"toy number": Cell(f"{result:g}", result)},
    )
    results = [{**run.results, "toy": result} for run, result in zip(runs, (1.5, None), strict=True)]
    monkeypatch.setattr(studies, "STUDIES", (*studies.STUDIES, toy))
    runs = [
        replace(run, load_results=lambda of_run=of_run: of_run)
        for run, of_run in zip(runs, results, strict=True)
    ]
    page = build_comparison_page(runs, comparison, tmp_path)
    assert studies_rows(page) == [*rows, ("Toy", "toy number", "1.5", "\N{EN DASH}")]
