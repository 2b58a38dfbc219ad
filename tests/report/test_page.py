"""What the page says stands in the files of the run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.shared.figure_colours import colours_without_theme

from tamis.blocks.numbers import typeset
from tamis.config import parse_config
from tamis.errors import InputError
from tamis.report.page import explain_labels, placed_captions, report_page
from tamis.report.rendering import render
from tamis.runs.read import read_run

Command = Callable[..., tuple[int, str, str]]


def metrics_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def test_the_page_and_a_damaged_figure_are_written_again_by_the_command(
    hostile_run: Path, tmp_path: Path, inside: Command
) -> None:
    run = tmp_path / "run"
    shutil.copytree(hostile_run, run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    page = run / "report.html"
    page.unlink()
    (run / "figures" / "roc.svg").write_text("<svg")
    assert inside("report", str(run)) == (0, f"wrote {page}\n", "")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


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
    assert {block.file for block in pictures} == set(with_pdf)
    html = render(page)
    assert (html.count(">PDF</a>"), html.count(">SVG</a>")) == (len(pictures), 0)
    assert "as SVG and PDF;" in page.footer


def test_colours_of_figures_that_are_not_of_data_follow_the_page(demo_run: Path, hostile_run: Path) -> None:
    for folder in (demo_run, hostile_run):
        page = report_page(read_run(folder))
        pictures = [block for section in page.sections for block in section.blocks if block.kind == "picture"]
        assert {block.name: colours_without_theme(block.svg) for block in pictures} == {
            block.name: set() for block in pictures
        }


def test_labels_with_mathtext_are_explained_too() -> None:
    classes: dict[str, Any] = {
        "zz": {"label": "ZZ"},
        "tt": {"label": r"$t\bar{t}$"},
        "wz": {"label": "wz"},
        "h": {"signal": True},
    }
    samples = [{"name": name, "class": name, "files": "a.root"} for name in classes]
    config = parse_config({"samples": samples, "classes": classes, "features": ["x"]})
    assert explain_labels(config).strip() == "In figures, zz is ZZ, tt is tt̄."


def test_every_figure_has_words_of_its_own(demo_run: Path, hostile_run: Path) -> None:
    for folder in (demo_run, hostile_run):
        page = report_page(read_run(folder))
        assert "further" not in [section.anchor for section in page.sections]
        drawn = {
            block.name for section in page.sections for block in section.blocks if block.kind == "picture"
        }
        assert drawn == {path.stem for path in (folder / "figures").glob("*.svg")}
    sentences = [caption.sentence for _, caption in placed_captions()]
    assert len(set(sentences)) == len(sentences)


def test_the_numbers_of_the_tables_are_those_of_the_metrics(demo_run: Path) -> None:
    text = (demo_run / "report.html").read_text()
    metrics = metrics_of(demo_run)
    assert typeset(metrics["overtraining"]["permutation_test"]["sentence"]).replace("<", "&lt;") in text
    shown = {float(each) for each in re.findall(r'data-value="([^"]+)"', text)}
    test = metrics["test"]
    expected = [test["loss"], test["accuracy"], *test["auc"].values(), test["balanced"]["loss"]]
    expected += [
        each["corrected_p_value"] for each in metrics["overtraining"]["permutation_test"]["comparisons"]
    ]
    expected += [each["loss"] for each in metrics["importance"]["groups"]]
    expected += [each["significance"] for each in metrics["discovery"]["categories"].values()]
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
    (cuts,) = (each for each in metrics["cuts"]["tables"] if each["score_of"] == [names[2]])
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
        (lambda svg: svg.write_text("<html/>"), "is not an SVG"),
        (lambda svg: svg.write_text('<!DOCTYPE svg [<!ENTITY a "b">]><svg/>'), "declares entities"),
        (lambda svg: svg.unlink(), "cannot be read"),
    ],
)
def test_a_damaged_figure_is_named(hostile_run: Path, tmp_path: Path, damage: Any, words: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(hostile_run, run)
    damage(run / "figures" / "roc.svg")
    with pytest.raises(InputError, match=words):
        report_page(read_run(run))


@pytest.mark.parametrize("words", ["there is no such folder", "is not a run directory"])
def test_what_is_no_run_is_refused(tmp_path: Path, words: str, inside: Command) -> None:
    status, _, said = inside("report", str(tmp_path / "nothing" if "such" in words else tmp_path))
    assert status == 2
    assert words in said
