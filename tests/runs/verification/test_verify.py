"""A run that nobody touched matches; each file is changed in one place, and what does not match is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

import tamis
from tamis.cli.commands import app
from tamis.config import parse_config
from tamis.errors import InputError, RequestError, TamisError
from tamis.export import FORMATS, export_classifier
from tamis.files import add_hash, sha256
from tamis.plots.book import Drawing
from tamis.runs.verification import Comparison, Verification, verify_run
from tamis.runs.verification.files import (
    compare_configuration,
    compare_figures,
    compare_files,
    compare_model,
    compare_report,
)
from tamis.runs.verification.numbers import compare_history, compare_scored_numbers, compare_sums
from tamis.runs.verification.record import read_record
from tamis.runs.write import write_report

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _blank_figures() -> Iterator[None]:
    """Write two blank figures: those of a run take most of the time."""
    chapter = [Drawing(name, Figure) for name in ("history", "roc")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tamis.runs.figures.chapters_of", lambda _: [chapter])
        yield


@pytest.fixture(scope="module")
def finished(module_classes: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = module_classes(
        200, name="drawn", spectators=["w"], training={"epochs": 4, "batch_size": 32, "ensemble": 2}
    )
    folder = tmp_path_factory.mktemp("verified") / "run"
    tamis.write_run(tamis.train(parse_config(config)), folder)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def inputs_of(folder: Path) -> Path:
    provenance = json.loads((folder / "provenance.json").read_text())
    return Path(provenance["inputs"][0]["path"]).parent


def answers(found: Verification) -> dict[str, bool | None]:
    return {each.what: each.matches for each in found.comparisons}


def findings(folder: Path, **options: Any) -> str:
    found = verify_run(folder, **options)
    assert not found.holds
    return "\n".join(said for each in found.comparisons for said in each.findings)


def notes(found: Verification) -> str:
    return "\n".join([*found.notes, *(said for each in found.comparisons for said in each.notes)])


def forge(folder: Path, name: str = "") -> None:
    """Write the hashes again, as somebody would who wants nothing to be seen."""
    path = folder / "provenance.json"
    said = json.loads(path.read_text())
    if name:
        said["outputs"][name] = sha256(folder / name)
    path.write_text(json.dumps(add_hash(said), indent=2) + "\n")


def change_json(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads((folder / name).read_text())
    change(value)
    (folder / name).write_text(json.dumps(value, indent=2) + "\n")


def test_a_run_that_nobody_touched_matches_in_everything(finished: Path) -> None:
    found = verify_run(finished)
    assert found.holds
    assert found.notes == ()
    assert set(answers(found).values()) == {True}
    numbers = {each.what: each.number for each in found.comparisons}
    assert numbers["input files"] == 2
    assert numbers["history: epochs"] == 8  # of two networks
    assert numbers["scores"] == len(pq.read_table(finished / "scores.parquet"))
    assert numbers["numbers from the events"] > 500


def test_a_feature_ablation_is_not_computed_again(two_classes: Make, tmp_path: Path) -> None:
    config = two_classes(200, training={"epochs": 1}, evaluation={"ablation": ["y"]})
    folder = tmp_path / "run"
    tamis.write_run(tamis.train(parse_config(config), tamis.Callbacks()), folder)
    found = verify_run(folder)
    assert found.holds, found
    assert notes(found) == (
        "the run lists no figures\n"
        "metrics.json: feature ablation in importance cannot be computed again without a training"
    )

    def change(metrics: dict[str, Any]) -> None:
        metrics["importance"]["groups"][0]["loss"] += 0.01

    change_json(folder, "metrics.json", change)
    forge(folder, "metrics.json")
    assert "importance.groups" in findings(folder)


def rows_of_files(folder: Path) -> str:
    """Give what the rows that look at files find."""
    record = read_record(folder)
    found = (compare_files(record), compare_model(record)[0], compare_report(record))
    return "\n".join(said for each in found for said in each.findings)


@pytest.mark.parametrize("place", [0.0, 0.6, 0.9999])
def test_one_changed_bit_of_each_file_is_named(finished: Path, tmp_path: Path, place: float) -> None:
    for number, original in enumerate(path for path in sorted(finished.rglob("*")) if path.is_file()):
        copy = Path(shutil.copytree(finished, tmp_path / str(number)))
        name = original.relative_to(finished).as_posix()
        content = bytearray(original.read_bytes())
        content[int(place * len(content))] ^= 1
        (copy / name).write_bytes(content)
        assert name in rows_of_files(copy)


@pytest.mark.parametrize(
    "name", ["metrics.json", "figures/history.svg", "report.html", "model/preprocess.json"]
)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert f"{name} is missing" in rows_of_files(copy)


def test_every_figure_has_all_formats_of_the_run(copy: Path) -> None:
    provenance = json.loads((copy / "provenance.json").read_text())
    for name in ("history.png", "history.pdf", "roc.png", "roc.pdf"):
        path = copy / "figures" / name
        path.write_bytes(name.encode())
        provenance["outputs"][f"figures/{name}"] = sha256(path)
    (copy / "provenance.json").write_text(json.dumps(add_hash(provenance)))
    assert compare_figures(read_record(copy)).matches
    (copy / "figures" / "roc.pdf").unlink()
    assert compare_figures(read_record(copy)).findings == ("figures/roc.pdf is missing",)


def test_a_file_that_is_not_of_the_run_is_named(copy: Path) -> None:
    (copy / "figures" / "other.png").write_bytes(b"")
    assert "figures/other.png does not belong to this run" in rows_of_files(copy)


def test_numbers_that_were_changed_with_their_hash_are_named(copy: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        metrics["test"]["intervals"]["accuracy"][0] -= 0.001
        metrics["training"]["auc"]["sig"] += 1e-6
        metrics["history"][1]["best_epoch"] += 1
        metrics["calibration"] = None

    change_json(copy, "metrics.json", change)
    forge(copy, "metrics.json")
    said = findings(copy)
    changed = (
        "test.intervals.accuracy[0] is",
        "training.auc.sig is",
        "history[1].best_epoch is",
        "calibration is None, not",
    )
    assert [words for words in changed if f"metrics.json: {words}" not in said] == []


def test_a_number_of_the_test_events_is_named_without_the_inputs(copy: Path, tmp_path: Path) -> None:
    def change(metrics: dict[str, Any]) -> None:
        metrics["test"]["loss"] *= 1.0001

    change_json(copy, "metrics.json", change)
    forge(copy, "metrics.json")
    assert "metrics.json: test.loss is" in findings(copy, data=tmp_path)


def test_a_cutflow_that_was_changed_with_its_hash_is_named(copy: Path) -> None:
    def change(cutflow: dict[str, Any]) -> None:
        cutflow["samples"][0]["training"]["events"] -= 1

    change_json(copy, "events.json", change)
    forge(copy, "events.json")
    said = findings(copy)
    assert "events.json: samples[0].training.events is" in said
    assert "sample bkg has" in said


def test_a_key_that_is_missing_in_the_metrics_is_not_one_of_the_cutflow(copy: Path) -> None:
    change_json(copy, "metrics.json", lambda metrics: metrics["test"].pop("events"))
    assert compare_sums(read_record(copy)).findings == (
        "metrics.json does not have the keys that tamis writes (KeyError)",
    )


def test_another_best_epoch_is_named(copy: Path, tmp_path: Path) -> None:
    def change(history: dict[str, Any]) -> None:
        member = history["members"][1]
        member["epochs"][member["best_epoch"] - 1]["validation_loss"] += 1

    change_json(copy, "history.json", change)
    forge(copy, "history.json")
    assert "the best epoch in history.json is " in findings(copy, data=tmp_path)


def change_scores(folder: Path, *names: str) -> None:
    """Change the value of one event in some columns by as little as can be."""
    table = pq.read_table(folder / "scores.parquet")
    for name in names:
        values = table.column(name).to_numpy().copy()
        values[3] = np.nextafter(values[3], np.inf) if values.dtype.kind == "f" else values[3] + 1
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pq.write_table(table, folder / "scores.parquet")
    forge(folder, "scores.parquet")


def test_values_of_the_scores_that_were_changed_with_their_hash_are_named(copy: Path) -> None:
    names = ("score_sig", "weight", "entry", "event_id", "spectator_w")
    change_scores(copy, *names)
    said = findings(copy)
    assert [name for name in names if f"scores.parquet: {name} of event 3 is" not in said] == []


def test_scores_may_differ_by_the_tolerance(copy: Path) -> None:
    change_scores(copy, "score_sig")
    assert "score_sig of event 3 is" in findings(copy)
    found = verify_run(copy, tolerance=1e-6)
    assert found.holds
    assert answers(found)["numbers from the events"] is None
    assert "the scores of this machine do not have the same bits" in notes(found)


def test_a_changed_seed_or_command_is_named(copy: Path, tmp_path: Path) -> None:
    change_json(copy, "provenance.json", lambda said: said.update(command="tamis train other.yaml"))
    assert "provenance.json was changed after the run was written" in rows_of_files(copy)
    change_json(copy, "provenance.json", lambda said: said.update(seed=99))
    forge(copy)
    assert "config.yaml has the seed 0, and provenance.json has 99" in findings(copy, data=tmp_path)


@pytest.mark.parametrize("content", [b"[]", b'{"format": 2, "outputs": 3}', b"\xff"])
def test_provenance_that_is_none_is_named(copy: Path, content: bytes) -> None:
    (copy / "provenance.json").write_bytes(content)
    found = verify_run(copy)
    assert answers(found)["files"] is False
    assert answers(found)["input files"] is None


def rows(folder: Path) -> list[Comparison]:
    """Give the rows that read the small files."""
    record = read_record(folder)
    return [
        compare_files(record),
        compare_configuration(record),
        compare_sums(record),
        compare_history(record, None),
        compare_scored_numbers(record),
        compare_report(record),
    ]


@pytest.mark.parametrize("name", ["config.yaml", "metrics.json", "events.json", "history.json"])
@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"samples": [{}], "epochs": [1], "test": 3}', b"\xff"]
)
def test_a_file_of_another_kind_is_named_and_stops_nothing(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    assert name in "\n".join(said for each in rows(copy) for said in each.findings)


def test_inputs_that_are_gone_are_said_and_not_passed_over(copy: Path, tmp_path: Path) -> None:
    found = verify_run(copy, data=tmp_path)
    assert found.holds
    compared = answers(found)
    names = ("input files", "cutflow", "scores", "numbers from the events")
    assert [compared[name] for name in names] == [None] * 4
    assert f"{tmp_path / 'bkg.root'} does not exist any more" in notes(found)


def test_inputs_that_have_moved_are_found(copy: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(inputs_of(copy), tmp_path / "moved"))
    found = verify_run(copy, data=moved)
    assert found.holds
    assert answers(found)["numbers from the events"] is True


def test_a_changed_input_is_named(copy: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(inputs_of(copy), tmp_path / "moved"))
    content = bytearray((moved / "sig.root").read_bytes())
    content[len(content) // 2] ^= 8
    (moved / "sig.root").write_bytes(content)
    assert f"{moved / 'sig.root'} was changed after the run was made" in findings(copy, data=moved)
    (moved / "sig.root").write_bytes(content[:-1])
    assert "sig.root has" in findings(copy, data=moved)


def test_an_exported_form_and_a_new_report_are_no_damage(copy: Path, tmp_path: Path) -> None:
    export_classifier(copy / "model", list(FORMATS), None, skip_untranslatable=True)
    write_report(copy)
    found = verify_run(copy, data=tmp_path)
    assert found.holds
    assert "model/manifest.json: changed after the run was written, as by `tamis export`" in notes(found)


def test_a_run_of_other_packages_is_verified_with_a_note(copy: Path, tmp_path: Path) -> None:
    change_json(copy, "provenance.json", lambda provenance: provenance["packages"].update(jax="0.1"))
    forge(copy)
    write_report(copy)  # it quotes the versions
    found = verify_run(copy, data=tmp_path)
    assert found.holds
    assert "the run was made with jax 0.1 (now " in notes(found)


def test_provenance_without_a_hash_of_itself_is_named(copy: Path) -> None:
    change_json(copy, "provenance.json", lambda provenance: provenance.pop("sha256"))
    assert "provenance.json has no hash of itself" in rows_of_files(copy)


@pytest.mark.parametrize("number", [None, 1, 3, "2", True])
def test_another_format_is_refused(copy: Path, number: object) -> None:
    change_json(copy, "provenance.json", lambda provenance: provenance.update(format=number))
    forge(copy)
    with pytest.raises(InputError):
        verify_run(copy)


def test_names_that_lead_out_of_the_run_are_not_followed(copy: Path, tmp_path: Path) -> None:
    change_json(copy, "provenance.json", lambda said: said["outputs"].update({"../secret": "0"}))
    assert "../secret is listed in provenance.json, but is not a name inside" in findings(copy, data=tmp_path)


def test_a_wrong_request_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        verify_run(tmp_path / "nothing")
    with pytest.raises(InputError):
        verify_run(tmp_path)
    with pytest.raises(RequestError):
        verify_run(finished, data=tmp_path / "nothing")


def test_the_command_has_a_table_and_an_exit_status(copy: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["verify", str(copy), "--data", str(tmp_path)])
    assert run.exit_code == 0
    assert "what                               how many       matches" in run.stdout
    assert "5 could not be compared." in run.stdout
    (copy / "metrics.json").write_text("{}")
    run = CliRunner().invoke(app, ["verify", str(copy), "--data", str(tmp_path)])
    assert isinstance(run.exception, TamisError)
    assert run.exception.exit_status == 1
    assert "does not match: metrics.json was changed after the run was written" in run.stderr


def test_a_missing_figure_is_reported_once(copy: Path, tmp_path: Path) -> None:
    (copy / "figures" / "roc.svg").unlink()
    run = CliRunner().invoke(app, ["verify", str(copy), "--data", str(tmp_path)])
    assert run.exit_code == 1
    assert run.stderr.count("roc.svg") == 1


def test_the_table_has_the_same_rows_whatever_could_be_compared(
    finished: Path, copy: Path, tmp_path: Path
) -> None:
    rows = list(answers(verify_run(finished)))
    assert list(answers(verify_run(finished, data=tmp_path))) == rows
    (copy / "model" / "weights.safetensors").write_bytes(b"")
    assert list(answers(verify_run(copy))) == rows


def test_what_was_not_compared_is_neither_right_nor_wrong() -> None:
    assert Comparison("a", 0).matches is None
    assert Comparison("a", 1).matches is True
    assert Comparison("a", 0, ("b",)).matches is False
