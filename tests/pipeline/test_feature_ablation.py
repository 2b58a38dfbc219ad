"""Feature ablation: of two copies neither matters, both together do, and a useless feature never does."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.config import Exchange, Reflection, Rotation, parse_config
from tamis.data.ensemble import EnsemblePlan
from tamis.errors import TrainingError
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.evaluation import build_context
from tamis.pipeline.feature_ablation import remaining_symmetries, train_without
from tamis.statistics.importance import PerformanceDrop
from tamis.studies.importance.result import choose_ablated_groups, compute_ablation
from tamis.training.recipe import Custom

Make = Callable[..., dict[str, Any]]
COPY = {"name": "copy", "expression": "2 * x + 1"}


def ablate(
    run: tamis.Run, *groups: tuple[str, ...], custom: Custom | None = None
) -> tuple[PerformanceDrop | None, ...]:
    """Train the classifier of a run again without each group of features, and return what is lost."""
    config, prepared, classifier = run.config, run.prepared, run.classifier
    train_again = partial(train_without, config, prepared.weighed, classifier, custom=custom)
    return compute_ablation(build_context(config, prepared, classifier, run.splits, train_again), groups)


def ablated(run: tamis.Run) -> list[PerformanceDrop | None]:
    return [group.ablated for group in run.results["importance"].groups]


def test_copies_matter_together_and_a_useless_feature_does_not(module_classes: Make) -> None:
    config = parse_config(
        module_classes(
            3000,
            features=["x", "y", COPY],
            training={"epochs": 30, "batch_size": 128, "optimizer": {"name": "adam", "learning_rate": 0.01}},
        )
    )
    run = tamis.train(config)
    both, *others = ablate(run, ("x", "copy"), (), ("x",), ("copy",), ("y",))
    assert both.loss_interval[0] > 0.2
    assert both.auc[1] > 0.3
    assert len(others) == 4
    for drop in others:
        low, high = drop.loss_interval
        # the interval is of the test events; another training adds a little of its own
        assert low - 0.004 < 0 < high + 0.004
        assert abs(drop.loss) < 0.02 * both.loss
        assert abs(drop.auc[1]) < 0.01


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
    config = two_classes(250, features=features, evaluation={"ablation": wanted}, **more)
    callbacks = Callbacks(stage=told.append, epoch=lambda *member_of: heard.add((told[-1], *member_of[:2])))
    run = tamis.train(parse_config(config), callbacks)
    written = json.loads(json.dumps(run.metrics, allow_nan=False))
    importance = written["importance"]
    found = {group["features"][-1]: group["ablation"] for group in importance["groups"]}
    assert {name for name, change in found.items() if change is not None} == set(wanted)
    assert set(found) == {"copy", "y", "w"}  # x and its copy are one group
    for change in (*(found[name] for name in wanted), importance["retrained"]):
        assert set(change) == {"loss", "loss_interval", "auc", "auc_interval"}
        assert change["loss_interval"][0] <= change["loss"] <= change["loss_interval"][1]
        assert set(change["auc"]) == {"bkg", "sig"}
    assert found["copy"]["loss"] > importance["retrained"]["loss"]
    assert told == ["reading", "training", "evaluation", "feature ablation"]
    assert written["timing"]["stages"]["feature ablation"] > 0
    # each group and once all features, of as many networks as the classifier has
    networks = (len(wanted) + 1) * len(run.members)
    expected = {("feature ablation", member, networks) for member in range(networks)}
    assert {each for each in heard if each[0] == "feature ablation"} == expected


@pytest.mark.parametrize("folds", [None, 2])
def test_a_classifier_that_is_trained_again_from_its_own_seeds_loses_nothing(
    module_classes: Make, monkeypatch: pytest.MonkeyPatch, folds: int | None
) -> None:
    symmetries = [{"type": "reflection", "features": ["y"]}]
    training = {
        "epochs": 2, "batch_size": 64, "calibration": "vector",
        "symmetries": symmetries, "test_time_augmentation": 2,
    }  # fmt: skip
    split = {} if folds is None else {"folds": folds}
    config = parse_config(module_classes(250, features=["x", "y"], split=split, training=training))
    run = tamis.train(config)
    monkeypatch.setattr(EnsemblePlan, "with_other_seeds", lambda plan, _: plan)
    (drop,) = ablate(run, ())
    assert drop is not None
    assert drop.loss == pytest.approx(0, abs=1e-6)
    assert drop.auc == pytest.approx((0, 0), abs=1e-6)


def test_nothing_is_trained_where_nothing_is_asked_for(two_classes: Make) -> None:
    run = tamis.train(parse_config(two_classes(200)))
    assert ablated(run) == [None, None]
    assert run.results["importance"].retrained is None


def test_what_cannot_be_left_out_is_null(two_classes: Make) -> None:
    network = {"layers": [{"type": "sparse", "nodes": 4, "fan_in": 3}], "gains": None}
    features = ["x", "y", "w"]
    config = two_classes(300, features=features, network=network, evaluation={"ablation": True})
    run = tamis.train(parse_config(config))
    assert ablated(run) == [None] * 3
    assert run.results["importance"].retrained is not None
    alone = two_classes(300, features=["x", COPY], evaluation={"ablation": True})
    assert ablated(tamis.train(parse_config(alone))) == [None]


def test_a_training_with_symmetries_goes_on_with_what_is_left_of_them(two_classes: Make) -> None:
    symmetries = [{"type": "reflection", "features": ["y"]}]
    training = {"epochs": 2, "symmetries": symmetries, "test_time_augmentation": 2}
    run = tamis.train(parse_config(two_classes(300, training=training, evaluation={"ablation": True})))
    assert None not in ablated(run)


def test_a_training_that_diverges_says_without_what(two_classes: Make) -> None:
    config = parse_config(two_classes(300, features=["x", "y"]))
    run = tamis.train(config)

    def diverging(logits: Any, target: Any) -> Any:
        return (logits * target).sum() * np.nan

    with pytest.raises(TrainingError):
        ablate(run, (), ("y",), custom=Custom(loss=diverging))


def test_groups_are_chosen_by_any_of_their_features() -> None:
    groups = (("a", "b"), ("c",), ("d",))
    assert choose_ablated_groups(True, groups) == groups
    assert choose_ablated_groups(False, groups) == ()
    assert choose_ablated_groups(("d", "b", "a"), groups) == (("a", "b"), ("d",))


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
