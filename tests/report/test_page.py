"""What the page says stands in the files of the run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest

from tamis.errors import InputError
from tamis.report.captions import CAPTIONS
from tamis.report.numbers import typeset
from tamis.report.page import _tiles, report_page, write_report
from tamis.run_reading import read_run

Command = Callable[..., tuple[int, str, str]]


def metrics_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def test_the_page_is_written_with_the_run_and_again_by_the_command(
    demo_run: Path, tmp_path: Path, inside: Command
) -> None:
    run = tmp_path / "demo"
    shutil.copytree(demo_run, run)
    page = run / "report.html"
    page.unlink()
    assert inside("report", str(run)) == (0, f"wrote {page}\n", "")
    assert page.read_bytes() == (demo_run / "report.html").read_bytes()


def test_it_is_one_file_that_names_nothing_outside(hostile_run: Path) -> None:
    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [
                value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "data")
            ]

    links = Links()
    links.feed((hostile_run / "report.html").read_text())
    assert links.found
    for link in links.found:
        assert link.startswith("#") or re.fullmatch(r"figures/[\w%.-]+\.svg", link), link
        if link.endswith(".svg"):
            assert (hostile_run / unquote(link)).is_file()


def test_figures_are_linked_as_pdf_where_there_are_any(hostile_run: Path) -> None:
    run = read_run(hostile_run)
    names = [name for name in run.provenance["outputs"] if name.endswith(".svg")]
    with_pdf = {name.replace(".svg", ".pdf"): "" for name in names}
    provenance = {**run.provenance, "outputs": {**run.provenance["outputs"], **with_pdf}}
    page = report_page(replace(run, provenance=provenance))
    pictures = [block for section in page.sections for block in section.blocks if block.kind == "picture"]
    assert {(block.file, block.format) for block in pictures} == {(name, "PDF") for name in with_pdf}
    assert "as SVG and PDF," in page.footer


def test_every_figure_has_words_of_its_own(demo_run: Path, hostile_run: Path) -> None:
    for folder in (demo_run, hostile_run):
        page = report_page(read_run(folder))
        assert "further" not in [section.anchor for section in page.sections]
        drawn = {
            block.name for section in page.sections for block in section.blocks if block.kind == "picture"
        }
        assert drawn == {path.stem for path in (folder / "figures").glob("*.svg")}
    assert len({each.sentence for each in CAPTIONS}) == len(CAPTIONS)


def test_the_numbers_of_the_tables_are_those_of_the_metrics(demo_run: Path) -> None:
    text = (demo_run / "report.html").read_text()
    metrics = metrics_of(demo_run)
    assert typeset(metrics["overtraining"]["verdict"]["sentence"]).replace("<", "&lt;") in text
    shown = {float(each) for each in re.findall(r'data-value="([^"]+)"', text)}
    test = metrics["test"]
    expected = [test["loss"], test["accuracy"], *test["auc"].values(), test["balanced"]["loss"]]
    expected += [each["corrected"] for each in metrics["overtraining"]["verdict"]["comparisons"]]
    expected += [each["loss"] for each in metrics["importance"]]
    expected += [each["significance"] for each in metrics["search"]["categories"].values()]
    assert set(expected) <= shown


def test_the_numbers_follow_from_the_scores(hostile_run: Path) -> None:
    """Compute a sample of what the page quotes again, from `scores.parquet` alone."""
    metrics = metrics_of(hostile_run)
    table = pq.read_table(hostile_run / "scores.parquet")
    names = metrics["classes"]
    scores = np.stack([table[f"score_{name}"].to_numpy() for name in names], axis=1).astype(np.float64)
    labels = np.array([names.index(name) for name in table["class"].to_pylist()])
    weight = table["weight"].to_numpy()
    own = scores[np.arange(len(labels)), labels]
    assert metrics["test"]["loss"] == pytest.approx(-(weight * np.log(own)).sum() / weight.sum())
    right = scores.argmax(axis=1) == labels
    assert metrics["test"]["accuracy"] == pytest.approx(weight[right].sum() / weight.sum())
    for index, name in enumerate(names):
        is_class = labels == index
        above = scores[is_class, index][:, None] > scores[~is_class, index]
        equal = scores[is_class, index][:, None] == scores[~is_class, index]
        pairs = weight[is_class][:, None] * weight[~is_class]
        area = (pairs * (above + 0.5 * equal)).sum() / pairs.sum()
        assert metrics["test"]["auc"][name] == pytest.approx(area)
        for point in metrics["working_points"][name]:
            passes = scores[:, index] >= point["threshold"]
            efficiency = weight[passes & ~is_class].sum() / weight[~is_class].sum()
            assert point["background_efficiency"] == pytest.approx(efficiency)
    (cuts,) = (each for each in metrics["cuts"] if each["score_of"] == [names[2]])
    for number in (10, 60, 90):
        passes = scores[:, 2] >= cuts["thresholds"][number]
        for index, name in enumerate(names):
            of_class = labels == index
            efficiency = weight[passes & of_class].sum() / weight[of_class].sum()
            assert cuts["efficiency"][name][number] == pytest.approx(efficiency)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda svg: svg.write_text("<svg"), "is not XML"),
        (lambda svg: svg.write_text("<html/>"), "is no SVG"),
        (lambda svg: svg.write_text('<!DOCTYPE svg [<!ENTITY a "b">]><svg/>'), "declares entities"),
        (lambda svg: svg.unlink(), "cannot be read"),
    ],
)
def test_a_damaged_figure_is_named(hostile_run: Path, tmp_path: Path, damage: Any, words: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(hostile_run, run)
    before = (run / "report.html").read_bytes()
    damage(run / "figures" / "roc.svg")
    with pytest.raises(InputError, match=words):
        write_report(run)
    assert (run / "report.html").read_bytes() == before


@pytest.mark.parametrize("words", ["there is no such folder", "is no run"])
def test_what_is_no_run_is_refused(tmp_path: Path, words: str, inside: Command) -> None:
    status, _, said = inside("report", str(tmp_path / "nothing" if "such" in words else tmp_path))
    assert status == 2
    assert words in said


def test_the_page_says_what_calibration_was_applied() -> None:
    from tamis.report.page import _applied_calibration

    one = {"scale": {"bkg": 0.5, "sig": 0.5}, "offset": {"bkg": 0.0, "sig": 0.0}}
    other = {"scale": {"bkg": 0.5, "sig": 2.0}, "offset": {"bkg": -0.25, "sig": 0.25}}
    assert _applied_calibration(None) == ""
    said = _applied_calibration({"method": "temperature", "of_all": one, "of_fold_0": one, "of_fold_1": one})
    assert "a temperature of 2.0000, fitted on validation events, and one more for each of 2 folds." in said
    said = _applied_calibration({"method": "vector", "of_all": other})
    assert "factors of the logits: bkg 0.5000, sig 2.0000; offsets: bkg -0.2500, sig +0.2500" in said


def searched(events_per_weight: float | None, relative: float | list[float]) -> SimpleNamespace:
    bins = {"significance": 3.0, "significance_interval": [2.9, 3.1], "bins": [{}, {}]}
    search = {
        "bins": bins,
        "signal": ["sig"],
        "events_per_weight": events_per_weight,
        "requirements": {"relative": relative},
    }
    intervals = {"loss": None, "accuracy": None, "auc": {"sig": None}}
    test = {"loss": 0.5, "accuracy": 0.9, "auc": {"sig": 0.8}, "intervals": intervals}
    metrics = {"test": test, "search": search, "classes": ["top", "sig", "wjets"]}
    return SimpleNamespace(metrics=metrics, config=SimpleNamespace(signal_names=["sig"]))


def test_a_significance_stands_at_the_top_with_a_luminosity_alone_and_says_what_it_assumes() -> None:
    assert "Significance" not in [tile.title for tile in _tiles(searched(None, 0.1))]
    for relative, assumed in (
        (0.0, "backgrounds without systematic uncertainty"),
        (0.05, "5% for each background apart"),
        ([0.05, 0.2], "uncertainties of the backgrounds apart (top 5%, wjets 20%)"),
    ):
        (tile,) = (tile for tile in _tiles(searched(0.2, relative)) if tile.title == "Significance")
        assert assumed in tile.note
