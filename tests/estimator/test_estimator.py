"""The estimator keeps scikit-learn's conventions, and the laws of the package."""

from __future__ import annotations

import pickle
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tamis import NeuralClassifier
from tamis.config import Adam, Dense, EarlyStopping, Network, Preprocessing, Split, Training
from tamis.estimator.events import OrderedEvents
from tamis.estimator.parameters import read_settings
from tamis.training.batches import WeightedInputs

ROOT = Path(__file__).parents[2]
# one batch, so that weights can equal repeated rows
SMALL: dict[str, Any] = {
    "layers": (8,),
    "epochs": 20,
    "batch_size": 512,
    "learning_rate": 0.1,
    "random_state": 3,
}


def sample(events: int = 60, classes: int = 2) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(7)
    labels = np.arange(events) % classes
    return rng.normal(0, 1, (events, 3)) + 1.5 * labels[:, None], labels


CHECKS = parametrize_with_checks([NeuralClassifier(layers=(16,), epochs=60, batch_size=512)]).mark
# all that fit no network, and of those that do the ones that ask most
QUICK = {
    "check_classifiers_train", "check_do_not_raise_errors_in_init_or_set_param", "check_dont_overwrite_attributes",
    "check_estimator_cloneable", "check_estimator_repr", "check_estimator_tags_renamed", "check_estimators_unfitted",
    "check_get_params_invariance", "check_mixin_order", "check_no_attributes_set_in_init",
    "check_parameters_default_constructible", "check_sample_weights_invariance", "check_set_params",
    "check_valid_tag_types",
}  # fmt: skip


# no check is expected to fail
@pytest.mark.parametrize(
    CHECKS.args[0],
    [
        # slow: the rest fits networks to arrays of many shapes, and each is compiled
        pytest.param(*case, marks=() if case[1].func.__name__ in QUICK else pytest.mark.slow)
        for case in CHECKS.args[1]
    ],
    ids=CHECKS.kwargs["ids"],
)
def test_it_keeps_the_conventions_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_the_defaults_are_those_of_the_configuration() -> None:
    settings = read_settings(NeuralClassifier().get_params())
    assert settings.network == Network()
    assert settings.training == Training()
    assert settings.scaling == Preprocessing().scaling
    assert settings.validation_fraction in {None, Split().validation}
    assert (settings.loss, settings.optimizer) == (None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"layers": [32, 16]}, {"layers": [Dense(nodes=32), Dense(nodes=16)]}),
        ({"layers": np.array([32, 16])}, {"layers": [Dense(nodes=32), Dense(nodes=16)]}),
        ({"layers": (np.int64(3),)}, {"layers": [Dense(nodes=3)]}),
        ({"layers": []}, {"layers": []}),
        ({"layers": [4, Dense(nodes=4)], "activation": "tanh"},
         {"layers": [Dense(nodes=4, activation="tanh"), Dense(nodes=4)]}),
        ({"layers": [{"nodes": 4, "activation": "relu"}, {"nodes": 2, "dropout": 0.5}], "activation": "tanh"},
         {"layers": [Dense(nodes=4, activation="relu"), Dense(nodes=2, dropout=0.5, activation="tanh")]}),
        ({"shared_members": np.int64(4), "parametrisation": "ntk", "output_initialisation": "zero"},
         {"shared_members": 4, "parametrisation": "ntk", "output_initialisation": "zero"}),
    ],
)  # fmt: skip
def test_layers_are_numbers_mappings_or_sections(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_settings(given).network == Network(**expected)


def test_the_activation_is_that_of_the_default_layers() -> None:
    layers = read_settings({"activation": "relu"}).network.layers
    assert [layer.activation for layer in layers] == ["relu"] * len(Network().layers)
    assert [layer.nodes for layer in layers] == [layer.nodes for layer in Network().layers]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"optimizer": "sgd", "learning_rate": 0.5}, {"optimizer": {"name": "sgd", "learning_rate": 0.5}}),
        (
            {"optimizer": {"name": "lion", "beta1": 0.8}, "learning_rate": 1},
            {"optimizer": {"name": "lion", "beta1": 0.8, "learning_rate": 1.0}},
        ),
        ({"optimizer": Adam(beta1=0.8), "learning_rate": 0.1}, {"optimizer": Adam(beta1=0.8, learning_rate=0.1)}),
        (
            {"learning_rate": np.float32(0.25)},
            {"optimizer": Training().optimizer.model_copy(update={"learning_rate": 0.25})},
        ),
        ({"optimizer": "schedule_free_adamw", "ema_decay": None},
         {"optimizer": "schedule_free_adamw", "ema_decay": None}),
        ({"loss": {"name": "focal", "gamma": 1.0}, "schedule": "cosine"},
         {"loss": {"name": "focal", "gamma": 1.0}, "schedule": "cosine"}),
        ({"early_stopping": True}, {"early_stopping": EarlyStopping()}),
        ({"early_stopping": False}, {"early_stopping": None}),
        ({"early_stopping": 7}, {"early_stopping": EarlyStopping(patience=7)}),
        ({"early_stopping": {"monitor": "validation_auc"}},
         {"early_stopping": EarlyStopping(monitor="validation_auc")}),
        ({"batch_size": np.int64(64), "ema_decay": 0.9, "time_budget": "1min", "ensemble": 2},
         {"batch_size": 64, "ema_decay": 0.9, "time_budget": 60.0, "ensemble": 2}),
    ],
)  # fmt: skip
def test_training_is_told_as_in_the_configuration(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_settings(given).training == Training.model_validate(expected)


@pytest.mark.parametrize(
    ("given", "fraction"),
    [
        ({"early_stopping": True, "validation_fraction": 0.3}, 0.3),
        ({"early_stopping": True, "validation_fraction": None}, None),
        ({"early_stopping": False, "validation_fraction": 0.3}, None),
        ({"early_stopping": False, "schedule": "plateau", "validation_fraction": 0.3}, 0.3),
    ],
)
def test_events_are_kept_back_only_where_something_is_decided(
    given: dict[str, Any], fraction: float | None
) -> None:
    assert read_settings(given).validation_fraction == fraction


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs: expected a number of at least 1, found 0$"),
        ({"epochs": 2.5}, "epochs: expected auto or a whole number, found 2.5$"),
        ({"epochs": True}, "epochs: expected auto or a whole number, found true$"),
        ({"layers": [4, 0]}, r"layers\[1\]\.nodes: expected a number of at least 1, found 0$"),
        ({"layers": "64"}, "layers: expected a list, found the text '64'$"),
        ({"layers": [{"nodes": 4, "widht": 1}]}, r"layers\[0\]\.widht: unknown key; keys here: type, nodes"),
        ({"activation": "rleu"}, "^activation: expected one of relu, .*found the text 'rleu'; did you mean 'relu'.$"),
        ({"layers": [4], "activation": "selu", "shared_members": 0}, "members"),
        ({"layers": [{"nodes": 4, "activation": "selu", "dropout": 0.5}]}, "destroys the normalisation of selu"),
        ({"optimizer": "adma"}, "optimizer: expected one of adam, .*found the text 'adma'; did you mean 'adam'"),
        ({"optimizer": 3}, "optimizer: expected the name of an optimizer, such as adam"),
        ({"optimizer": 3, "learning_rate": 0.1}, "optimizer"),
        ({"learning_rate": -1.0}, "^learning_rate: expected a number above 0, found -1.0$"),
        ({"optimizer": optax.sgd(0.1), "learning_rate": 0.1}, "learning_rate: an optax transform has its own"),
        ({"loss": "hinge"}, "loss: expected one of cross_entropy, "),
        ({"scaling": "minmax"}, "scaling: expected one of standard, "),
        ({"validation_fraction": 1.5}, "validation_fraction: expected a number below 1, found 1.5$"),
        ({"schedule": "cosine", "optimizer": "schedule_free_adamw", "ema_decay": None},
         "^the optimizer sch.*does not use"),
        ({"loss": "binary_cross_entropy"}, "is for 2 classes, and y has 3"),
        ({"early_stopping": {"monitor": "validation_significance"}}, "monitor validation_loss"),
        ({"loss": {"name": "significance", "signal": 1.0, "background": 1.0}, "signal": 9}, "no class 9"),
        ({"loss": "significance", "signal": 9}, "(?s)^signal: there is no class 9.*needs a section"),
        ({"class_weight": "balance"}, "class_weight: expected balanced.*found the text 'balance'"),
        ({"class_weight": {7: 1.0}}, r"class_weight: there is no class 7; the classes are \[0, 1, 2\]"),
        ({"class_weight": {1: -1.0}}, "class_weight: expected factors above 0"),
        ({"devices": 4096}, "there are"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_value_error_of_fit(given: dict[str, Any], message: str) -> None:
    X, y = sample(classes=3)
    with pytest.raises(ValueError, match=message):
        NeuralClassifier(**given).fit(X, y)


def test_all_problems_of_the_parameters_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)members.*epochs.*scaling.*validation_fraction"):
        read_settings({"shared_members": 0, "epochs": 0, "scaling": "x", "validation_fraction": 2.0})


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.arange(60) % 2, "weights of the class 0 sum to 0; expected a positive sum"),
        (np.where(np.arange(60) % 2, 1.0, -1.0), "weights of the class 0 sum to -30"),
        (np.zeros(60), "zero|sum to 0"),
        (np.ones(59), "sample_weight"),
    ],
)
def test_weights_that_no_class_can_be_learned_with_are_refused(
    weight: NDArray[np.float64], message: str
) -> None:
    X, y = sample()
    with pytest.raises(ValueError, match=message):
        NeuralClassifier(**SMALL).fit(X, y, sample_weight=weight)


def test_an_unpickled_estimator_leaves_all_devices_to_the_next_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its arrays are those of NumPy: an array of JAX would start JAX, with one device, before any other code."""
    X, y = sample()
    classifier = NeuralClassifier(**SMALL).fit(X, y)
    text = pickle.dumps(classifier)
    starts: list[bool] = []
    monkeypatch.setattr("tamis.training.devices.start_devices", lambda: starts.append(True))
    again = pickle.loads(text)  # noqa: S301
    assert starts == [True]
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(again.networks_))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


def test_values_beyond_32_bits_are_refused() -> None:
    X, y = sample()
    classifier = NeuralClassifier(**SMALL).fit(X, y)
    X[3, 1] = 1e39
    with pytest.raises(ValueError, match="infinity or a value too large for dtype"):
        NeuralClassifier(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match="infinity or a value too large for dtype"):
        classifier.predict(X)


def test_one_class_is_refused() -> None:
    X, _ = sample()
    with pytest.raises(ValueError, match="at least 2 classes in y, found 1 class"):
        NeuralClassifier(**SMALL).fit(X, np.zeros(len(X)))


LAWS: list[Any] = [
    {"early_stopping": False, "class_weight": "balanced"},
    # slow: each is compiled for three numbers of events
    pytest.param({}, marks=pytest.mark.slow),
    pytest.param(
        {"layers": [{"nodes": 8, "dropout": 0.3}], "shared_members": 3, "scaling": "robust"},
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("given", LAWS)
def test_weight_2_is_a_doubled_row_and_weight_0_none(given: dict[str, Any]) -> None:
    X, y = sample()
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(np.float64)
    weighted = NeuralClassifier(**{**SMALL, **given}).fit(X, y, sample_weight=weight)
    times = weight.astype(int)
    repeated = NeuralClassifier(**{**SMALL, **given}).fit(X.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


@pytest.mark.parametrize("given", [{}, {"batch_size": 16}])
def test_the_order_of_the_rows_does_not_matter(given: dict[str, Any]) -> None:
    X, y = sample()
    order = np.random.default_rng(1).permutation(len(y))
    one = NeuralClassifier(**{**SMALL, **given}).fit(X, y)
    other = NeuralClassifier(**{**SMALL, **given}).fit(X[order], y[order])
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_scaling_all_weights_changes_nothing() -> None:
    X, y = sample()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    one = NeuralClassifier(**SMALL).fit(X, y, sample_weight=weight)
    other = NeuralClassifier(**SMALL).fit(X, y, sample_weight=4 * weight)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_negative_weights_may_be_used() -> None:
    X, y = sample()
    weight = np.where(np.arange(len(y)) % 7 == 0, -0.5, 1.0)
    scores = NeuralClassifier(**SMALL).fit(X, y, sample_weight=weight).predict_proba(X)
    assert np.isfinite(scores).all()


def test_a_larger_factor_gives_a_class_higher_scores() -> None:
    X, y = sample()
    plain = NeuralClassifier(**SMALL).fit(X, y).predict_proba(X)[:, 1]
    favoured = NeuralClassifier(**SMALL, class_weight={1: 20.0}).fit(X, y).predict_proba(X)[:, 1]
    assert favoured.mean() > plain.mean()


@pytest.mark.parametrize(
    "given",
    [
        {"loss": lambda logits, target: -(target * jax.nn.log_softmax(logits, axis=0)).sum()},
        {"optimizer": optax.adam(0.1), "learning_rate": "auto"},
        {"early_stopping": {"monitor": "validation_auc"}},
        # slow: each is compiled; how they are read is tested above, and what they do beside their code
        *(
            pytest.param(choice, marks=pytest.mark.slow)
            for choice in (
                {"loss": "binary_cross_entropy"},
                {"loss": {"name": "significance", "signal": 10.0, "background": 100.0}, "signal": "sig"},
                {"embedding": {"type": "piecewise_linear", "bins": 4}},
                {"parametrisation": "ntk", "output_initialisation": "zero", "ema_decay": 0.9},
                {"layers": ()},
            )
        ),
    ],
)
def test_every_choice_of_the_loop_can_be_made(given: dict[str, Any]) -> None:
    X, y = sample()
    labels = np.array(["bkg", "sig"])[y]
    classifier = clone(NeuralClassifier(**{**SMALL, **given})).fit(X, labels)
    scores = classifier.predict_proba(X)
    assert scores.shape == (len(X), 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert (classifier.predict(X) == classifier.classes_[scores.argmax(axis=1)]).all()
    assert classifier.score(X, labels) > 0.5


def test_a_loss_of_ones_own_is_what_is_made_small() -> None:
    X, y = sample()

    def nothing(logits: jax.Array, target: jax.Array) -> jax.Array:
        return 0.0 * logits.sum() + 7.0 * jnp.abs(target).sum()

    classifier = NeuralClassifier(**SMALL, loss=nothing).fit(X, y)
    losses = [epoch.training_loss for epoch in classifier.history_.epochs]
    np.testing.assert_allclose(losses, 7.0, rtol=1e-6)


def test_binary_cross_entropy_has_one_output() -> None:
    X, y = sample()
    assert NeuralClassifier(**SMALL, loss="binary_cross_entropy").fit(X, y).network_.outputs == 1


def test_early_stopping_ends_the_training_and_keeps_the_best_epoch() -> None:
    X, y = sample()
    classifier = NeuralClassifier(layers=(), epochs=50, random_state=1, learning_rate=1e-9, early_stopping=2)
    history = classifier.set_params(early_stopping={"patience": 2, "min_delta": 0.5}).fit(X, y).history_
    assert len(history.epochs) == 3
    assert history.best == 1


def test_training_events_teach_and_validation_events_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = sample()
    X[:, 0] = np.arange(60)
    splits: list[WeightedInputs] = []

    def record(
        _network: Any, training: WeightedInputs, validation: WeightedInputs, *_: Any, **__: Any
    ) -> None:
        splits.extend((training, validation))
        raise RuntimeError

    monkeypatch.setattr("tamis.training.fit.fit", record)
    monkeypatch.setattr(OrderedEvents, "draw", lambda events, _fraction, **_: events.features[:, 0] < 20)
    classifier = NeuralClassifier(**SMALL, scaling="none")
    with pytest.raises(RuntimeError):
        classifier.fit(X, y)
    assert [sorted(split.inputs[:, 0]) for split in splits] == [list(range(20, 60)), list(range(20))]
    classifier.set_params(scaling="robust")
    with pytest.raises(RuntimeError):
        classifier.fit(X, y)
    medians = np.median(X[20:].astype(np.float32), axis=0)
    np.testing.assert_allclose(classifier.preprocessing_.centre, medians, rtol=1e-6)


def test_scores_of_several_seeds_are_averaged() -> None:
    X, y = sample()
    several = NeuralClassifier(**SMALL, ensemble=3).fit(X, y)
    assert len(several.networks_) == len(several.histories_) == 3
    each = []
    for number in range(3):
        one = clone(several).fit(X, y)
        one.networks_ = several.networks_[number : number + 1]
        each.append(one.predict_proba(X))
    assert not np.array_equal(each[0], each[1])
    np.testing.assert_allclose(several.predict_proba(X), np.mean(each, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(each[0], NeuralClassifier(**SMALL).fit(X, y).predict_proba(X))


def test_it_has_no_scores_before_it_is_fitted() -> None:
    with pytest.raises(NotFittedError):
        NeuralClassifier().predict([[1.0]])


def test_frames_have_names_whose_order_is_checked() -> None:
    X, y = sample()
    frame = pd.DataFrame(X, columns=["pt", "mass", "eta"])
    classifier = NeuralClassifier(**SMALL).fit(frame, pd.Series(y))
    assert classifier.feature_names_in_.tolist() == ["pt", "mass", "eta"]
    assert classifier.n_features_in_ == 3
    expected = NeuralClassifier(**SMALL).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier.predict_proba(frame), expected)
    with pytest.raises(ValueError, match="must be in the same order"):
        classifier.predict(frame[["mass", "pt", "eta"]])


def test_a_missing_value_becomes_the_median_and_an_indicator() -> None:
    X, y = sample()
    X[::5, 1] = np.nan
    classifier = NeuralClassifier(**SMALL, early_stopping=False).fit(X, y)
    assert classifier.preprocessing_.indicators == (1,)
    assert classifier.preprocessing_.fill[1] == pytest.approx(np.nanmedian(X[:, 1].astype(np.float32)))
    assert classifier.network_.inputs == 4
    new = X[:4].copy()
    new[:, 0] = np.nan  # it was never missing in training: the median alone stands in
    filled = new.copy()
    filled[:, 0] = classifier.preprocessing_.fill[0]
    np.testing.assert_array_equal(classifier.predict_proba(new), classifier.predict_proba(filled))


def test_it_works_in_a_pipeline_and_in_a_search() -> None:
    X, y = sample()
    pipeline = make_pipeline(StandardScaler(), NeuralClassifier(**SMALL))
    assert (cross_val_score(pipeline, X, y, cv=2, scoring="neg_log_loss") < 0).all()
    search = GridSearchCV(
        pipeline,
        {"neuralclassifier__learning_rate": np.array([1e-9, 0.1])},
        cv=2,
        error_score="raise",
    )
    assert search.fit(X, y).best_params_["neuralclassifier__learning_rate"] == 0.1


rows = st.lists(
    st.tuples(
        st.sampled_from([0.0, -0.0, 1.0, np.nan, 1e30]),
        st.integers(0, 2),
        st.integers(-2, 3),
    ),
    min_size=1,
    max_size=20,
)


def events_of(listed: list[tuple[float, int, int]], *, one_batch: int) -> OrderedEvents:
    features, class_index, weight = (list(column) for column in zip(*listed, strict=True))
    return OrderedEvents.of(
        np.array(features, np.float32)[:, None],
        np.array(class_index, np.int32),
        np.array(weight, np.float64),
        one_batch=one_batch,
    )


def same(one: OrderedEvents, other: OrderedEvents) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "features")
        for name in ("content_hash", "features", "class_index", "weight")
    )


@given(listed=rows, seed=st.integers(0, 100), one_batch=st.sampled_from([0, 100]))
def test_events_have_an_order_of_their_own(
    listed: list[tuple[float, int, int]], seed: int, one_batch: int
) -> None:
    shuffled = [listed[index] for index in np.random.default_rng(seed).permutation(len(listed))]
    assert same(events_of(listed, one_batch=one_batch), events_of(shuffled, one_batch=one_batch))


@given(listed=rows)
def test_in_one_batch_equal_events_become_one(listed: list[tuple[float, int, int]]) -> None:
    events = events_of(listed, one_batch=100)
    assert events.weight.sum() == sum(weight for *_, weight in listed)
    assert len(set(events.content_hash.tolist())) == len(events)
    single = [
        (value, number, sign) for value, number, weight in listed for sign in [np.sign(weight)] * abs(weight)
    ]
    if single:
        assert same(events, events_of(single, one_batch=100))


def test_zeros_of_both_signs_are_one_event() -> None:
    zeros = [(0.0, 1, 2), (-0.0, 1, 3)]
    assert len(set(events_of(zeros, one_batch=0).content_hash.tolist())) == 1
    assert events_of(zeros, one_batch=100).weight.tolist() == [5.0]


@given(listed=rows, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**31 - 1))
def test_each_class_is_divided_and_equal_events_stay_together(
    listed: list[tuple[float, int, int]], fraction: float, seed: int
) -> None:
    events = events_of(listed, one_batch=0)
    chosen = events.draw(fraction, seed=seed)
    assert not set(events.content_hash[chosen]) & set(events.content_hash[~chosen])
    for number in np.unique(events.class_index):
        own = events.class_index == number
        different = len(np.unique(events.content_hash[own]))
        count = len(np.unique(events.content_hash[own & chosen]))
        assert 0 < count < different if different > 1 else count == 0
        assert abs(count - fraction * different) <= 1


def test_balanced_classes_have_equal_sums() -> None:
    X, _ = sample(90)
    y = np.repeat([0, 1, 2], [60, 20, 10]).astype(np.int32)
    events = OrderedEvents.of(X.astype(np.float32), y, np.linspace(0.5, 1.5, 90))
    labels = np.array(["a", "b", "c"])
    balanced = events.balanced("balanced", labels)
    sums = np.bincount(balanced.class_index, weights=balanced.weight)
    np.testing.assert_allclose(sums, events.weight.sum() / 3)
    factors = events.balanced({"b": 3.0}, labels).weight / events.weight
    np.testing.assert_allclose(factors, np.where(events.class_index == 1, 3.0, 1.0))


def test_errors_show_numbers_and_not_types_of_numpy() -> None:
    X, y = sample(20)
    calls = [
        lambda: NeuralClassifier(**SMALL).fit(X, np.zeros(len(X))),
        lambda: NeuralClassifier(**SMALL, class_weight={np.int64(7): 1.0}).fit(X, y),
        lambda: NeuralClassifier(**SMALL, class_weight={0: np.float64(-1.0)}).fit(X, y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^(?!.*np\.)"):
            call()


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import tamis; tamis.NeuralClassifier"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip().endswith('pip install "tamis[sklearn]"')


@pytest.mark.slow  # trains for each example
def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "estimator.md").read_text(encoding="utf-8")
    script = tmp_path / "examples.py"
    script.write_text("\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)))
    names = runpy.run_path(str(script))
    assert names["scores"].shape == (2, 2)


def test_the_page_lists_every_parameter() -> None:
    page = (ROOT / "docs" / "estimator.md").read_text(encoding="utf-8")
    table = page[page.index("## Parameters") : page.index("## After the training")]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(NeuralClassifier().get_params())


def test_an_offset_that_32_bits_cannot_hold_hides_nothing() -> None:
    X, y = sample(120)
    near, far = (NeuralClassifier(**SMALL).fit(shifted, y).score(shifted, y) for shifted in (X, X + 1.6e9))
    assert near > 0.9
    assert far > 0.9


def test_a_value_too_large_for_32_bits_is_refused() -> None:
    X, y = sample()
    with pytest.raises(ValueError, match="value too large for dtype"):
        NeuralClassifier(**SMALL).fit(np.where(X[0, 0] == X, 1e300, X), y)
