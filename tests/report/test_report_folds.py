"""With folds and several networks, the report says what is true of all networks and all events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tamis.cli.summary import ledger_table as terminal_table
from tamis.data.ledger import Ledger, SampleAccount, Tally, total
from tamis.report.epochs import epochs_sentence, kept_epochs
from tamis.report.page import _chosen
from tamis.report.tables import bins_table, ledger_table
from tamis.run_reading import FinishedRun


def history(best: int, epochs: int, reason: str, fold: int | None = None) -> dict[str, Any]:
    return {"best": best, "epochs": [{}] * epochs, "reason": reason, "fold": fold}


def test_the_epochs_are_those_of_every_network() -> None:
    reason = "no improvement of validation_loss for 3 epochs"
    pairs = [(13, 16), (10, 13), (11, 14), (10, 13), (12, 15)]
    members = [history(*pair, reason, fold) for fold, pair in enumerate(pairs)]
    of_run = {**members[0], "members": members}
    assert kept_epochs(of_run) == "13 of 16, 10 of 13, 11 of 14, 10 of 13, 12 of 15"
    assert epochs_sentence(of_run) == (
        "The weights of the 5 networks are those of epochs 13 of 16, 10 of 13, 11 of 14, 10 of 13, 12 of 15 (in the "
        "order of the folds); the trainings ended: no improvement of validation_loss for 3 epochs."
    )
    assert kept_epochs({**of_run, "members": members * 4}) == "10 to 13 of 13 to 16"
    different = [*members[:2], history(20, 20, "all 20 epochs were trained", 2)]
    assert "for 3 epochs (2 networks); all 20 epochs were trained (1 networks)" in epochs_sentence(
        {**members[0], "members": different}
    )
    assert "ended after no improvement of validation_loss" in epochs_sentence(members[0])


def folded(folds: int) -> Ledger:
    """Return the ledger of one sample: 60 events for training, 20 for validation, and 20 for test without folds."""
    counts = {"training": 60, "validation": 20, "test": 0 if folds else 20}
    parts = {name: Tally(events=number) for name, number in counts.items()}
    used = total(parts.values())
    of_folds = tuple(Tally(events=used.events // folds) for _ in range(folds))
    account = SampleAccount(
        "signal", "sig", {"a.root": used.events}, used, 0, Tally(), parts=parts, folds=of_folds
    )
    account.check()
    return Ledger((account,))


@pytest.mark.parametrize(("folds", "title", "tested"), [(0, "test", 20), (4, "tested out of fold", 80)])
def test_with_folds_every_used_event_is_a_test_event(folds: int, title: str, tested: int) -> None:
    ledger = folded(folds)
    numbers = ledger.to_dict(["sig"])
    table = ledger_table(cast(FinishedRun, SimpleNamespace(ledger=numbers)))
    assert ("test" in table.columns) == (folds == 0)
    assert table.rows[0][table.columns.index(title)].value == tested
    assert len(table.rows[0]) == len(table.columns)
    assert ("never saw its fold" in (table.caption or "")) == (folds > 0)
    of_terminal = {
        str(column.header): list(column.cells) for column in terminal_table(ledger, ["sig"]).columns
    }
    assert of_terminal[title] == [str(tested)] * 2


def test_with_folds_the_validation_events_are_among_those_that_are_quoted() -> None:
    assert "quoted on test events" in _chosen(in_folds=False)
    assert "no independent sample" in _chosen(in_folds=True)
    bins: dict[str, Any] = {"edges": [], "bins": []}
    captions = [bins_table(bins, in_folds=each).caption for each in (True, False)]
    assert [("validation events among them" in (each or "")) for each in captions] == [True, False]
