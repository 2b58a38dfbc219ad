"""Laws of every study: its result is written and read back equal, and the page is the same of both."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import tamis
import tamis.studies
from tamis.blocks import Caption, Finding, Table, Text
from tamis.cli.summary import class_table, metrics_table
from tamis.cli.tables import results_console
from tamis.config import parse_config
from tamis.errors import InputError
from tamis.figure_data import hepdata_table
from tamis.pipeline.metrics_schema import metrics_schema
from tamis.plots.book import Drawing, draw_chapter
from tamis.plots.labels import FigureLabels, class_styles
from tamis.records import from_json, to_json
from tamis.runs.figures import chapters_of, tables_of
from tamis.studies import (
    STUDIES,
    defined_results,
    describe_keys,
    metrics_of_studies,
    read_results,
    result_file,
    write_results,
)
from tamis.studies.performance import PERFORMANCE
from tamis.studies.study import Study, Undefined, import_keys

NAMES = [study.name for study in STUDIES]


TRAINING = {"epochs": 2, "early_stopping": None}
LOG_DENSITIES = {name: f"-(x - {mean})**2 / 2" for name, mean in (("bkg", 0.0), ("sig", 1.5), ("top", 0.0))}


@pytest.fixture(scope="session")
def folders(once: Callable[..., Path], module_classes: Callable[..., dict[str, Any]]) -> tuple[Path, Path]:
    """Train a plain run of two classes, and one of three, with figures, with all that a configuration can ask for."""

    def write(folder: Path) -> None:
        plain = module_classes(300, training=TRAINING)
        full = module_classes(200, training=TRAINING, report={})
        full["samples"].append({"name": "top", "class": "top", "files": "bkg.root", "selection": "y <= 0"})
        full["samples"][0]["selection"] = "y > 0"
        for sample in full["samples"]:
            sample["weight"] = "w - 0.6"
        full |= {
            "classes": {**full["classes"], "top": {}},
            "spectators": ["event"],
            "split": {"folds": {"number": 2}},
            "evaluation": {"reference": {"log_density": LOG_DENSITIES}, "baselines": ["logistic", "cuts"]},
        }
        for name, config in (("plain", plain), ("full", full)):
            run = tamis.train(parse_config(config), tamis.Callbacks())
            tamis.write_run(run, folder / name)
            (folder / f"{name}.txt").write_text(describe(run))

    folder = once("studies", write)
    return folder / "plain", folder / "full"


@pytest.fixture(scope="session")
def runs(folders: tuple[Path, Path]) -> tuple[tamis.Run, tamis.Run]:
    plain, full = map(tamis.read_run, folders)
    return plain, full


@pytest.fixture(scope="session")
def full(runs: tuple[tamis.Run, tamis.Run]) -> tamis.Run:
    return runs[1]


def describe(run: tamis.Run) -> str:
    """Return all numbers and texts of the results, one in each line."""
    return "\n".join(map(str, values(dict(run.results))))


def result_of(name: str, run: tamis.Run) -> tuple[Study, Any]:
    (found,) = (pair for pair in defined_results(run.results) if pair[0].name == name)
    return found


def values(record: Any) -> Iterator[Any]:
    """Walk through all numbers and texts of a result; arrays as their types and bytes."""
    match record:
        case np.ndarray():
            # of all that are not numbers, JSON has one
            yield record.dtype, record.shape, np.where(np.isnan(record), np.nan, record).tobytes()
        case dict():
            for key, item in record.items():
                yield key
                yield from values(item)
        case list() | tuple():
            yield len(record)
            for item in record:
                yield from values(item)
        case _ if is_dataclass(record):
            yield type(record)
            for field in fields(record):
                yield from values(getattr(record, field.name))
        case float() if np.isnan(record):
            yield "NaN"
        case _:
            yield record


def tuples(kind: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    match kind.__args__:
        case (item, types.EllipsisType()):
            return st.lists(st.from_type(item), max_size=2).map(tuple)
        case items:
            return st.tuples(*map(st.from_type, items))


# results are nested: two items on each level are many; of all mappings, hypothesis would draw some that none holds
st.register_type_strategy(tuple, tuples)
st.register_type_strategy(
    Mapping, lambda kind: st.dictionaries(*map(st.from_type, kind.__args__), max_size=2)
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_any_result_is_read_back_equal(name: str, data: st.DataObject) -> None:
    (study,) = (study for study in STUDIES if study.name == name)
    result = data.draw(st.from_type(study.result))
    assert list(values(from_json(study.result, to_json(result)))) == list(values(result))


@pytest.mark.parametrize("number", [0, 1])
def test_results_of_a_run_are_read_back_equal(
    number: int, runs: tuple[tamis.Run, tamis.Run], folders: tuple[Path, Path]
) -> None:
    assert runs[number].results.keys() == set(NAMES)
    assert describe(runs[number]) == folders[number].with_suffix(".txt").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_a_result_that_was_read_are_those_of_the_run(
    name: str, full: tamis.Run, folders: tuple[Path, Path]
) -> None:
    """Drawn again from the run directory alone, each figure has the same bytes."""
    study, result = result_of(name, full)
    names = {
        drawing.name for drawing in study.figures(result, FigureLabels(class_styles(full.config.class_names)))
    }
    drawings = [drawing for chapter in chapters_of(full) for drawing in chapter if drawing.name in names]
    assert {figure.name: figure.svg for figure in draw_chapter(drawings).figures} == {
        name: (folders[1] / "figures" / f"{name}.svg").read_text() for name in names
    }
    assert all(caption.title for caption in study.captions)


@pytest.mark.parametrize("result", [None, Undefined("a reason")])
def test_a_study_without_a_result_is_read_back(result: Undefined | None, tmp_path: Path) -> None:
    results = dict.fromkeys(NAMES, result)
    write_results(tmp_path / "results", results)
    assert read_results(tmp_path / "results") == results
    assert list(defined_results(results)) == []
    assert metrics_of_studies(results, ()) == dict.fromkeys(describe_keys().model_fields)


@pytest.mark.parametrize("damage", ["{", "[]", "3", "null, 3", "extra", "missing", "type"])
def test_a_file_that_is_no_result_is_refused(full: tamis.Run, tmp_path: Path, damage: str) -> None:
    write_results(tmp_path / "results", full.results)
    study, _ = next(defined_results(full.results))
    path = tmp_path / "results" / result_file(study)
    content = json.loads(path.read_text())
    key = next(iter(content))
    changed = {"extra": {**content, "extra": 1}, "missing": {**content}, "type": {**content, key: {"a": 1}}}
    changed["missing"].pop(key)
    path.write_text(json.dumps(changed[damage]) if damage in changed else damage)
    with pytest.raises(InputError, match=f"{path.name}.*{study.name}"):
        read_results(tmp_path / "results")


# a study of somebody's own


@dataclass(frozen=True)
class HeaviestResult:
    weight: float


def plot_heaviest(weight: float) -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.text(0.5, 0.5, f"{weight:g}")
    return figure


HEAVIEST_KEYS = """
from tamis.studies.keys import Keys, key

class Heaviest(Keys):
    weight: float = key("of the heaviest event")

KEYS = {"heaviest": (Heaviest | None, key("the heaviest event"))}
"""

HEAVIEST = Study(
    name="heaviest",
    title="The heaviest event",
    result=HeaviestResult,
    compute=lambda context: HeaviestResult(float(context.splits["test"].weight.max())),
    keys=import_keys("heaviest.keys"),
    section=lambda result: [Text(f"The heaviest event weighs {result.weight:.3f}.")],
    figures=lambda result, _: [Drawing("heaviest", plot_heaviest, {"weight": result.weight})],
    captions=(Caption("heaviest", "Heaviest", "Look at the heaviest event."),),
    findings=lambda result: [Finding("good", "Heaviest", f"One event weighs {result.weight:.3f}.")],
    summary=lambda result: [f"Heaviest event: {result.weight:.3f}."],
)


def test_a_study_in_the_list_is_in_report_figures_metrics_and_summary(
    two_classes: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    inside: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    monkeypatch.setattr(tamis.studies, "STUDIES", (*STUDIES, HEAVIEST))
    (tmp_path / "package" / "heaviest").mkdir(parents=True)
    (tmp_path / "package" / "heaviest" / "keys.py").write_text(HEAVIEST_KEYS)
    monkeypatch.syspath_prepend(tmp_path / "package")
    config = two_classes(200, training={"epochs": 1, "early_stopping": None}, report={})
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config))
    status, output, _ = inside("train", str(path), "--output", str(tmp_path / "run"))
    assert status == 0
    heaviest = tamis.read_run(tmp_path / "run").results["heaviest"].weight
    assert heaviest > 0
    assert f"Heaviest event: {heaviest:.3f}." in output
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["heaviest"] == {"weight": heaviest}
    schema = metrics_schema()
    assert "heaviest" in schema["required"]
    assert schema["$defs"]["Heaviest"]["properties"]["weight"]["description"] == "of the heaviest event"
    assert (tmp_path / "run" / "figures" / "heaviest.svg").is_file()
    page = (tmp_path / "run" / "report.html").read_text()
    for words in (
        "The heaviest event", f"The heaviest event weighs {heaviest:.3f}.", "Look at the heaviest event.",
        f"One event weighs {heaviest:.3f}.",
    ):  # fmt: skip
        assert words in page


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_behind_the_figures_of_a_study_are_tables_of_names_of_their_own(
    name: str, full: tamis.Run
) -> None:
    study, result = result_of(name, full)
    tables = list(study.data(result, {}))
    drawings = [
        drawing.name for drawing in study.figures(result, FigureLabels(class_styles(full.config.class_names)))
    ]
    assert bool(tables) == bool(drawings)
    assert len({table.name for table in tables}) == len(tables)
    # a table is called like its figure
    assert all(any(table.name.startswith(drawing) for drawing in drawings) for table in tables)


@pytest.mark.slow  # draws all figures of two runs
def test_figures_of_a_finished_run_are_drawn_again(
    folders: tuple[Path, Path],
    tmp_path: Path,
    inside: Callable[..., tuple[int, str, str]],
    hepdata_problems: Callable[[Path], str],
) -> None:
    folder = folders[1]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    output = tmp_path / "figures"
    status, said, _ = inside(
        "figures",
        str(folder),
        "--output",
        str(output),
        "--format",
        "png",
        "--label",
        "CMS Preliminary",
        "--data",
    )
    assert status == 0, said
    names = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert {"calibration.svg", "calibration.png", "figures.pdf", "hepdata/submission.yaml"} <= names
    assert "CMS" in (output / "calibration.svg").read_text()
    assert hepdata_problems(output / "hepdata") == ""
    # files that are there are not replaced unasked, and those of the run never
    assert inside("figures", str(folder), "--output", str(output))[0] == 2
    assert inside("figures", str(folder), "--output", str(output), "--overwrite")[0] == 0
    assert "CMS" not in (output / "calibration.svg").read_text()
    assert inside("figures", str(folder), "--output", str(folder / "figures"), "--overwrite")[0] == 2
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert inside("figures", str(tmp_path))[0] == 2
    assert inside("figures", str(folder), "--output", str(tmp_path / "x"), "--label", "$")[0] == 2
    assert not (tmp_path / "x").exists()


INTERVAL = re.compile(r"\[[^\[\],]*\d, [^\[\],]+[\])]")
LEVEL = "68.3%"


def test_whatever_shows_an_interval_says_its_level(runs: tuple[tamis.Run, tamis.Run]) -> None:
    found = 0
    for study, result in (pair for each in runs for pair in defined_results(each.results)):
        for block in study.section(result):
            if isinstance(block, Table):
                notes = [cell.note for row in block.rows for cell in row if INTERVAL.fullmatch(cell.note)]
                assert not notes or LEVEL in block.caption, (study.name, block.columns, notes)
                found += len(notes)
        sentences = [
            *(block.text for block in study.section(result) if isinstance(block, Text)),
            *(finding.sentence for finding in study.findings(result)),
            *study.summary(result),
            *(tile.interval for tile in study.tiles(result)),
        ]
        with_intervals = [sentence for sentence in sentences if INTERVAL.search(sentence)]
        assert all(LEVEL in sentence for sentence in with_intervals), (study.name, with_intervals)
        found += len(with_intervals)
    assert found > 40


def test_a_number_is_written_alike_wherever_it_stands(
    runs: tuple[tamis.Run, tamis.Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for run in runs:
        performance = run.results["performance"]
        splits, points = (block for block in PERFORMANCE.section(performance))
        cells = {(row[0].text, row[1].text): [cell.text for cell in row[3:]] for row in splits.rows}
        of_test, balanced = cells["test", "physics"], cells["test", "balanced"]
        tiles = {tile.title: tile.value for tile in PERFORMANCE.tiles(performance)}
        assert [tiles["Balanced loss"], tiles["Balanced accuracy"]] == balanced[:2]
        index = run.class_names.index("sig")
        assert tiles["AUC of sig"] == of_test[2 + index]
        rejections = [row[-1].text for row in points.rows if row[0].text == "sig"]
        assert [cell.text for cell in PERFORMANCE.comparison(performance).values()] == rejections
        # the terminal shows the same
        console = results_console()
        console.print(metrics_table(run.results))
        console.print(class_table(performance, run.config.evaluation.working_points))
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [line for line in lines if line[:1] == ["test"]][-1][1:] == balanced[:2] + of_test[:2]
        assert [line for line in lines if line[:1] == ["sig"]][-1][1:] == [
            text for cell in (of_test[2 + index], *rejections) for text in cell.split()
        ]


def test_figure_data_have_the_labels_of_the_configuration(
    full: tamis.Run,
) -> None:
    (x, *others), (event,) = full.config.features, full.config.spectators
    features = (x.model_copy(update={"unit": "GeV", "label": "$x_1$"}), *others)
    spectators = (event.model_copy(update={"unit": "s"}),)
    config = full.config.model_copy(update={"features": features, "spectators": spectators})
    tables = list(tables_of(replace(full, config=config)))
    units = {column.unit for table in tables for column in (*table.independent, *table.dependent)}
    assert units == {"", "GeV", "1 / GeV", "s", "1 / s"}
    (table,) = (table for table in tables if table.name.startswith("inputs") and table.name.endswith("_x"))
    assert hepdata_table(table)["independent_variables"][0]["header"] == {"name": "$x_1$", "units": "GeV"}
