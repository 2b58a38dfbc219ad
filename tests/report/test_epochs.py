"""With folds and several networks, the report says what is true of all networks and all events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tamis.cli.tables import build_cutflow_table as terminal_table
from tamis.data.cutflow import Cutflow, SampleCutflow, Tally, sum_tallies
from tamis.report.epochs import format_best_epochs, format_epochs
from tamis.report.page import place_of
from tamis.report.tables import build_cutflow_table
from tamis.runs.read import Run


def history(best: int, epochs: int, reason: str, fold: int | None = None) -> dict[str, Any]:
    return {"best_epoch": best, "epochs": [{}] * epochs, "stop_reason": reason, "fold": fold}


def test_the_epochs_are_those_of_every_network() -> None:
    reason = "validation_loss did not improve for 3 epochs"
    pairs = [(13, 16), (10, 13), (11, 14), (10, 13), (12, 15)]
    members = [history(*pair, reason, fold) for fold, pair in enumerate(pairs)]
    of_run = {"members": members}
    assert format_best_epochs(of_run) == "13 of 16, 10 of 13, 11 of 14, 10 of 13, 12 of 15"
    assert format_epochs(of_run) == (
        "The weights of the 5 networks are those of epochs 13 of 16, 10 of 13, 11 of 14, 10 of 13, 12 of 15 (in the "
        "order of the folds); the trainings ended because validation_loss did not improve for 3 epochs."
    )
    assert format_best_epochs({"members": members * 4}) == "10 to 13 of 13 to 16"
    different = [*members[:2], history(20, 20, "all 20 epochs were trained", 2)]
    sentence = format_epochs({"members": different})
    assert "for 3 epochs (2 networks); because all 20 epochs were trained (1 network)" in sentence
    assert "the training ended because validation_loss" in format_epochs({"members": members[:1]})


def folded(folds: int) -> Cutflow:
    """Return the cutflow of one sample: 60 events for training, 20 for validation, and 20 for test without folds."""
    counts = {"training": 60, "validation": 20, "test": 0 if folds else 20}
    parts = {name: Tally(events=number) for name, number in counts.items()}
    used = sum_tallies(parts.values())
    of_folds = tuple(Tally(events=used.events // folds) for _ in range(folds))
    account = SampleCutflow(
        "signal", "sig", {"a.root": used.events}, used, 0, Tally(), splits=parts, folds=of_folds
    )
    account.check()
    return Cutflow((account,))


@pytest.mark.parametrize(("folds", "title", "tested"), [(0, "test", 20), (4, "tested out of fold", 80)])
def test_with_folds_every_used_event_is_a_test_event(folds: int, title: str, tested: int) -> None:
    cutflow = folded(folds)
    numbers = cutflow.to_dict(["sig"])
    table = build_cutflow_table(cast(Run, SimpleNamespace(cutflow=numbers)))
    assert ("test" in table.columns) == (folds == 0)
    assert table.rows[0][table.columns.index(title)].value == tested
    assert len(table.rows[0]) == len(table.columns)
    assert ("never saw its fold" in (table.caption or "")) == (folds > 0)
    of_terminal = {
        str(column.header): list(column.cells) for column in terminal_table(cutflow, ["sig"]).columns
    }
    assert of_terminal[title] == [str(tested)] * 2


def test_figures_stand_in_the_order_of_the_classes() -> None:
    names = ["sig", "other_sig", "bkg"]
    figures = ["score_bkg", "score_other_sig", "roc", "score_sig", "score_lost", "confusion"]
    ordered = sorted(figures, key=lambda name: place_of(name, names))
    assert ordered == ["roc", "confusion", "score_sig", "score_other_sig", "score_bkg", "score_lost"]
