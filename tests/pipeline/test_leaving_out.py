"""Features that are left out: of two copies neither matters, both together do, and what tells nothing never does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.config import Exchange, Reflection, Rotation, parse_config
from tamis.data.split import PARTS, TEST
from tamis.errors import TrainingError
from tamis.evaluation.importance import Change, Importance
from tamis.pipeline.fitting import seed_of
from tamis.pipeline.leaving_out import groups_to_leave_out, leave_out, remaining_symmetries
from tamis.pipeline.watch import Watch
from tamis.training.loop import Choices

Make = Callable[..., dict[str, Any]]
COPY = {"name": "copy", "expression": "2 * x + 1"}


def test_copies_matter_together_and_a_useless_feature_does_not(module_classes: Make) -> None:
    config = parse_config(
        module_classes(
            3000,
            features=["x", "y", COPY],
            training={"epochs": 30, "batch_size": 128, "optimizer": {"name": "adam", "learning_rate": 0.01}},
        )
    )
    run = tamis.train(config)
    groups = [("x",), ("copy",), ("x", "copy"), ("y",)]
    found = leave_out(config, run.prepared, run.classifier, run.parts[PARTS[TEST]], groups)
    assert found is not None
    assert list(found.groups) == groups
    both = found.groups["x", "copy"]
    assert both.loss_interval[0] > 0.2
    assert both.auc[1] > 0.3
    for change in (found.nothing, *(found.groups[group] for group in groups if group != ("x", "copy"))):
        low, high = change.loss_interval
        # the interval is of the test events; another training adds a little of its own
        assert low - 0.004 < 0 < high + 0.004
        assert abs(change.loss) < 0.02 * both.loss
        assert abs(change.auc[1]) < 0.01


@pytest.mark.parametrize(
    ("wanted", "more"),
    [
        pytest.param(
            ["copy", "w"], {}, marks=pytest.mark.slow
        ),  # without folds; three trainings are compiled
        (["copy"], {"split": {"folds": 2}, "training": {"epochs": 1}}),
    ],
)
def test_what_was_asked_for_stands_in_the_metrics(
    two_classes: Make, wanted: list[str], more: dict[str, Any]
) -> None:
    features = ["x", COPY, {"name": "y", "missing": "nan"}, "w"]
    told: list[str] = []
    heard = set()
    config = two_classes(250, features=features, evaluation={"leave_out": wanted}, **more)
    watch = Watch(stage=told.append, epoch=lambda *member_of: heard.add((told[-1], *member_of[:2])))
    run = tamis.train(parse_config(config), watch)
    written = json.loads(json.dumps(run.metrics(), allow_nan=False))
    found = {each["features"][-1]: each["left_out"] for each in written["importance"]}
    assert {name for name, change in found.items() if change is not None} == set(wanted)
    assert set(found) == {"copy", "y", "w"}  # x and its copy are one group
    for change in (*(found[name] for name in wanted), written["retrained"]):
        assert set(change) == {"loss", "loss_interval", "auc", "auc_interval"}
        assert change["loss_interval"][0] <= change["loss"] <= change["loss_interval"][1]
        assert set(change["auc"]) == {"bkg", "sig"}
    assert found["copy"]["loss"] > written["retrained"]["loss"]
    assert told == ["reading", "training", "evaluation", "leaving features out"]
    assert written["timing"]["stages"]["leaving features out"] > 0
    # each group and once all features, of as many networks as the classifier has
    networks = (len(wanted) + 1) * len(run.members)
    expected = {("leaving features out", member, networks) for member in range(networks)}
    assert {each for each in heard if each[0] == "leaving features out"} == expected


@pytest.mark.parametrize("folds", [None, 2])
def test_a_classifier_that_is_trained_again_from_its_own_seeds_loses_nothing(
    module_classes: Make, monkeypatch: pytest.MonkeyPatch, folds: int | None
) -> None:
    symmetries = [{"type": "reflection", "features": ["y"]}]
    training = {
        "epochs": 2, "batch_size": 64, "calibration": "vector",
        "symmetries": symmetries, "average_symmetries": 2,
    }  # fmt: skip
    split = {} if folds is None else {"folds": folds}
    config = parse_config(module_classes(250, features=["x", "y"], split=split, training=training))
    run = tamis.train(config)
    monkeypatch.setattr(
        "tamis.pipeline.leaving_out.seed_of",
        lambda seed, number: seed_of(seed, number - len(run.classifier.members)),
    )
    found = leave_out(config, run.prepared, run.classifier, run.parts[PARTS[TEST]], [])
    assert found is not None
    assert found.nothing.loss == pytest.approx(0, abs=1e-6)
    assert found.nothing.auc == pytest.approx((0, 0), abs=1e-6)


def test_nothing_is_trained_where_nothing_is_asked_for(two_classes: Make) -> None:
    run = tamis.train(parse_config(two_classes(200)))
    assert [each.left_out for each in run.evaluation.importance] == [None, None]
    assert run.evaluation.to_dict()["retrained"] is None


def test_what_cannot_be_left_out_is_null(two_classes: Make) -> None:
    network = {"layers": [{"type": "sparse", "nodes": 4, "fan_in": 3}], "embedding": None}
    features = ["x", "y", "w"]
    config = two_classes(300, features=features, network=network, evaluation={"leave_out": True})
    run = tamis.train(parse_config(config))
    assert [each.left_out for each in run.evaluation.importance] == [None] * 3
    alone = two_classes(300, features=["x", COPY], evaluation={"leave_out": True})
    assert [each.left_out for each in tamis.train(parse_config(alone)).evaluation.importance] == [None]


def test_a_training_with_symmetries_goes_on_with_what_is_left_of_them(two_classes: Make) -> None:
    symmetries = [{"type": "reflection", "features": ["y"]}]
    training = {"epochs": 2, "symmetries": symmetries, "average_symmetries": 2}
    run = tamis.train(parse_config(two_classes(300, training=training, evaluation={"leave_out": True})))
    assert all(each.left_out is not None for each in run.evaluation.importance)


def test_a_training_that_diverges_says_without_what(two_classes: Make) -> None:
    config = parse_config(two_classes(300, features=["x", "y"]))
    run = tamis.train(config)

    def diverging(logits: Any, target: Any) -> Any:
        return (logits * target).sum() * np.nan

    with pytest.raises(TrainingError, match=r"evaluation.leave_out: (trained once more|without y): "):
        leave_out(
            config, run.prepared, run.classifier, run.parts[PARTS[TEST]], [("y",)],
            choices=Choices(loss=diverging),
        )  # fmt: skip


def test_groups_are_chosen_by_any_of_their_features() -> None:
    nothing = Change(0.0, None, (), ())
    importance = [Importance(group, nothing) for group in (("a", "b"), ("c",), ("d",))]
    assert groups_to_leave_out(True, importance) == (("a", "b"), ("c",), ("d",))
    assert groups_to_leave_out(False, importance) == ()
    assert groups_to_leave_out(("d", "b", "a"), importance) == (("a", "b"), ("d",))


def test_symmetries_keep_what_is_left_of_them() -> None:
    turned = Rotation(features=("phi_1", "phi_2", "met_phi"))
    mirrored = Reflection(features=("eta_1", "eta_2"))
    objects = tuple((f"pt_{number}", f"eta_{number}", f"phi_{number}") for number in (1, 2, 3))
    exchanged = Exchange(objects=objects)
    everything = (turned, mirrored, exchanged)
    assert remaining_symmetries(everything, []) == everything
    found = remaining_symmetries(everything, ["eta_1", "phi_1"])
    assert found[0] == Rotation(features=("phi_2", "met_phi"))
    assert found[1] == Reflection(features=("eta_2",))
    assert found[2] == Exchange(objects=objects[1:])  # the first is another kind of object now
    etas = remaining_symmetries([mirrored, exchanged], ["eta_1", "eta_2", "eta_3"])
    assert etas == (Exchange(objects=tuple((f"pt_{number}", f"phi_{number}") for number in (1, 2, 3))),)
    assert remaining_symmetries([exchanged], ["pt_1", "eta_2", "phi_3"]) == ()
    assert remaining_symmetries([exchanged], [name for names in objects for name in names]) == ()
