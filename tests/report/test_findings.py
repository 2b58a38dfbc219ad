"""Findings count in the singular where there is one of a thing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tamis.report.findings import _convergence, _dead_nodes, _overflow, _scaling, _statistics, _ties


@pytest.mark.parametrize(
    ("overflow", "words"),
    [
        ({"x": 0.1}, "1 input exceeds the range of its fixed-point format, x in 10%"),
        ({"x": 0.1, "y": 0.2}, "2 inputs exceed the range of their fixed-point format, y in 20%"),
    ],
)
def test_inputs_out_of_range_are_counted(overflow: dict[str, float], words: str) -> None:
    (finding,) = _overflow({"network": {"overflow": overflow}})
    assert finding.sentence.startswith(words)


@pytest.mark.parametrize(("dead", "verb"), [(1, "is"), (2, "are")])
def test_dead_nodes_are_counted(dead: int, verb: str) -> None:
    network = {
        "layers": [{"outputs": 64}, {"outputs": 2}],
        "dead_nodes": {"events": 1000, "networks": [[dead]]},
    }
    (finding,) = _dead_nodes({"network": network})
    assert finding.sentence.startswith(f"{dead} of 64 nodes in layer 1 {verb} zero for all of 1,000 events")


def history(losses: list[float], planned: int | None = None) -> dict[str, Any]:
    planned = planned or len(losses)
    epochs = [
        {"number": number, "validation_loss": loss, "planned": planned}
        for number, loss in enumerate(losses, start=1)
    ]
    return {"epochs": epochs, "best_epoch": len(losses), "stop_reason": ""}


FALLING = [0.7 - 0.01 * epoch for epoch in range(20)]
FLAT = [0.4 + 0.3 * 0.5**epoch for epoch in range(20)]


@pytest.mark.parametrize(
    ("losses", "planned", "found"),
    [
        (FALLING, None, True),
        (FLAT, None, False),  # the last epoch is the best one, by next to nothing
        (FALLING, 40, False),  # it was stopped before the plan ended
        ([*FALLING, 0.6], None, False),
        ([0.7], None, False),
    ],
)
def test_a_loss_that_falls_to_the_last_planned_epoch_has_not_converged(
    losses: list[float], planned: int | None, found: bool
) -> None:
    findings = list(_convergence({"members": [history(losses, planned)]}))
    assert [each.title for each in findings] == ["Convergence"] * found
    if found:
        assert "fell by 0.020 in the last tenth" in findings[0].sentence


def test_each_network_is_looked_at_for_convergence() -> None:
    members = [history(FLAT), history(FALLING), history(FALLING)]
    (finding,) = _convergence({"members": members})
    assert "The validation loss of 2 of 3 networks" in finding.sentence


@pytest.mark.parametrize(("dead", "light"), [(0, None), (1, "info"), (2, "look"), (None, None)])
def test_dead_nodes_are_named_from_the_worst_layer(dead: int | None, light: str | None) -> None:
    layers = [{"outputs": 16}, {"outputs": 16}, {"outputs": 2}]
    network = {"layers": layers, "dead_nodes": {"events": 500, "networks": [[0, 0], [0, dead]]}}
    findings = list(_dead_nodes({"network": network}))
    assert [each.light for each in findings] == ([light] if light else [])
    assert all(f"{dead} of 16 nodes in layer 2" in each.sentence for each in findings)


def tied(share: float, efficiency: float) -> Any:
    scores = np.linspace(0.1, 0.9, 1000, dtype=np.float32)
    scores[: round(1000 * share)] = 0.75
    points = [
        {"target": target, "threshold": float(np.float32(0.75)), "signal_efficiency": efficiency}
        for target in (0.5, 0.6)
    ]
    scored = SimpleNamespace(
        scores=np.stack([1 - scores, scores], axis=1), class_index=np.ones(1000, np.int32)
    )
    return SimpleNamespace(
        class_names=("bkg", "sig"), scores=scored, metrics={"working_points": {"bkg": None, "sig": points}}
    )


def test_tied_scores_are_named_with_their_share() -> None:
    (finding,) = _ties(tied(0.3, 0.68))
    assert "30% of the events of sig have the same score for it, 0.7500" in finding.sentence
    assert list(_ties(tied(0.001, 0.68))) == []
    run = tied(0.3, 0.6)
    run.metrics["working_points"]["sig"] = run.metrics["working_points"]["sig"][1:]
    del run.scores  # where the targets are met, the scores are not read
    assert list(_ties(run)) == []


@pytest.mark.parametrize(
    ("scaling", "logarithm", "found"), [("none", (), True), ("none", ("pt",), False), ("robust", (), False)]
)
def test_inputs_without_scaling_are_named(scaling: str, logarithm: tuple[str, ...], found: bool) -> None:
    reference = np.array([[20.0, 0.1], [40.0, -0.2], [60.0, np.nan], [80.0, 0.3], [100.0, 1.0]])
    config = SimpleNamespace(
        preprocessing=SimpleNamespace(scaling=scaling, logarithm=logarithm),
        features=[SimpleNamespace(name="pt"), SimpleNamespace(name="eta")],
    )
    run: Any = SimpleNamespace(config=config, classifier=SimpleNamespace(reference_features=reference))
    findings = list(_scaling(run))
    assert len(findings) == found
    if found:
        assert "half of the values of pt lie between 40.0 and 80.0. Networks" in findings[0].sentence


@pytest.mark.parametrize(
    ("test", "folds", "light"),
    [
        (999.0, [], "look"),
        (1000.0, [], "good"),
        (0.0, [{}, {}], "good"),  # with cross-training every used event is a test event
    ],
)
def test_the_smallest_class_of_the_test_events_needs_a_thousand(
    test: float, folds: list[Any], light: str
) -> None:
    accounts = {
        name: {
            "used": {"effective_sample_size": used},
            "test": {"effective_sample_size": of_test},
            "folds": folds,
        }
        for name, used, of_test in (("bkg", 9000.0, 3000.0), ("sig", 4000.0, test))
    }
    run: Any = SimpleNamespace(cutflow={"classes": accounts})
    finding = _statistics(run)
    assert finding.light == light
    assert "sig" in finding.sentence
