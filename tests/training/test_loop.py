from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import pairwise, repeat
from pathlib import Path
from typing import get_args

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import (
    Adam,
    Dense,
    EarlyStopping,
    Monitor,
    OneCycle,
    ScheduleFreeAdamW,
    Sgd,
    SquaredError,
    Training,
)
from tamis.errors import RequestError, TrainingError
from tamis.network.network import build_network
from tamis.network.prediction import predict_scores
from tamis.training.batches import DEALT_FOR, GROUP, WeightedInputs, fixed_block, shuffled_blocks
from tamis.training.devices import Placement, devices_that_pay, place, work_of_batch
from tamis.training.history import Epoch
from tamis.training.loop import Choices, Trained, follow, train
from tamis.training.planning import ends_because, improves, plan_epochs


def sample(n: int, seed: int, *, shift: float = 1.0, noise: float = 0.0) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, n).astype(np.int32)
    inputs = rng.normal(size=(n, 2)) + shift * class_index[:, None]
    labels = np.where(rng.random(n) < noise, 1 - class_index, class_index).astype(np.int32)
    return WeightedInputs(inputs.astype(np.float32), labels, np.ones(n))


def run(
    settings: Training,
    training: WeightedInputs,
    validation: WeightedInputs,
    *,
    seed: int = 0,
    normalisation: str | None = None,
    **more: object,
) -> Trained:
    layers = [Dense(nodes=8, normalisation=normalisation)]
    network = build_network(2, 2, layers, random=np.random.default_rng(0))
    return follow(train(network, training, validation, settings, seed=seed, **more))


PLAIN = Training(
    epochs=4, batch_size=64, schedule="constant", optimizer=Adam(learning_rate=0.01), early_stopping=None
)


@cache
def plain(seed: int = 0) -> Trained:
    return run(PLAIN, sample(1000, 1), sample(777, 2), seed=seed)


def test_training_reaches_the_known_limit() -> None:
    settings = replace_fields(PLAIN, epochs=15, schedule=OneCycle())
    trained = run(settings, sample(20_000, 1), sample(5000, 2))
    events = sample(50_000, 3)
    scores = predict_scores(trained.network, events.inputs)
    loss = -np.log(scores[np.arange(50_000), events.class_index]).mean()
    # two Gaussians one apart in both inputs, equal priors: the posterior is a logistic function of x + y - 1
    position = events.inputs.sum(axis=1) - 1
    limit = np.log1p(np.exp(np.where(events.class_index == 1, -position, position))).mean()
    assert 0 <= loss - limit < 0.002


def replace_fields(settings: Training, **changes: object) -> Training:
    return settings.model_copy(update=changes)


def test_two_trainings_give_the_same_bits() -> None:
    first, second = plain(), run(PLAIN, sample(1000, 1), sample(777, 2))
    assert [leaf.tobytes() for leaf in leaves(first)] == [leaf.tobytes() for leaf in leaves(second)]
    strip = [replace(epoch, seconds=0) for epoch in first.history.epochs]
    assert strip == [replace(epoch, seconds=0) for epoch in second.history.epochs]


def leaves(trained: Trained) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained.network)]


def test_another_seed_gives_another_order() -> None:
    first, second = plain(), plain(seed=1)
    assert any((a != b).any() for a, b in zip(leaves(first), leaves(second), strict=True))


def test_history_measures_what_the_network_gives() -> None:
    trained, validation = plain(), sample(777, 2)
    scores = predict_scores(trained.network, validation.inputs)
    loss = -np.log(scores[np.arange(777), validation.class_index]).mean()
    accuracy = (scores.argmax(axis=1) == validation.class_index).mean()
    last = trained.history.epochs[-1]
    assert last.validation_loss == pytest.approx(loss, rel=1e-5)
    assert last.validation_accuracy == pytest.approx(accuracy, rel=1e-5)
    assert [epoch.number for epoch in trained.history.epochs] == [1, 2, 3, 4]
    assert [epoch.learning_rate for epoch in trained.history.epochs] == pytest.approx([0.01] * 4)
    assert [epoch.events for epoch in trained.history.epochs] == [1000] * 4
    assert trained.history.reason == "all 4 epochs were trained"


def test_early_stopping_returns_the_best_epoch() -> None:
    stopping = EarlyStopping(monitor="validation_loss", patience=4)
    settings = replace_fields(PLAIN, epochs=200, early_stopping=stopping, optimizer=Adam(learning_rate=0.05))
    validation = sample(500, 2)
    trained = run(settings, sample(60, 1, noise=0.3), validation)  # few and noisy: it overtrains
    history = trained.history
    assert len(history.epochs) == history.best + 4 < 200
    assert history.reason == "no improvement of validation_loss for 4 epochs"
    best = min(epoch.validation_loss for epoch in history.epochs)
    assert history.epochs[history.best - 1].validation_loss == best
    scores = predict_scores(trained.network, validation.inputs)
    loss = -np.log(scores[np.arange(500), validation.class_index]).mean()
    assert loss == pytest.approx(best, rel=1e-5)


def epoch(number: int, loss: float, accuracy: float = 0.5) -> Epoch:
    return Epoch(number, 1.0, 0.5, loss, accuracy, 0.1, 1.0)


@pytest.mark.parametrize(
    ("losses", "min_delta", "expected"),
    [([1.0, 0.9], 0.0, True), ([1.0, 1.0], 0.0, False), ([1.0, 0.95], 0.1, False), ([1.0, 0.85], 0.1, True)],
)
def test_an_improvement_must_exceed_min_delta(losses: list[float], min_delta: float, expected: bool) -> None:
    epochs = [epoch(number, loss) for number, loss in enumerate(losses, start=1)]
    assert improves(epochs, 1, EarlyStopping(min_delta=min_delta)) is expected


def test_accuracy_improves_upwards() -> None:
    epochs = [epoch(1, 1.0, 0.5), epoch(2, 2.0, 0.6)]
    assert improves(epochs, 1, EarlyStopping(monitor="validation_accuracy"))
    assert not improves(epochs[::-1], 1, EarlyStopping(monitor="validation_accuracy"))


MONITORS = ["validation_loss", "validation_accuracy", "validation_auc", "validation_significance"]


def of_monitor(number: int, monitor: str, value: float) -> Epoch:
    return replace(epoch(number, 1.0), **{monitor: value})


@pytest.mark.parametrize("monitor", MONITORS)
def test_every_monitor_knows_its_better_direction(monitor: str) -> None:
    assert set(MONITORS) == set(get_args(Monitor))
    stopping = EarlyStopping(monitor=monitor, min_delta=0.05)
    better = -0.1 if monitor == "validation_loss" else 0.1
    first = of_monitor(1, monitor, 0.5)
    assert improves([first, of_monitor(2, monitor, 0.5 + better)], 1, stopping)
    assert not improves([first, of_monitor(2, monitor, 0.5 + better / 4)], 1, stopping)
    assert not improves([first, of_monitor(2, monitor, 0.5 - better)], 1, stopping)


def test_without_a_monitor_the_last_epoch_is_kept() -> None:
    assert improves([epoch(1, 1.0), epoch(2, 5.0)], 1, None)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.integers(1, 6),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.2]),
)
def test_a_training_stops_when_patience_ends(
    losses: list[float], patience: int, warm_up: int, min_delta: float
) -> None:
    stopping = EarlyStopping(patience=patience, warm_up=warm_up, min_delta=min_delta)
    settings = replace_fields(PLAIN, epochs=100, early_stopping=stopping)
    epochs: list[Epoch] = []
    best = 0
    for number, loss in enumerate(losses, start=1):
        epochs.append(epoch(number, loss))
        best = number if improves(epochs, best, stopping) else best
        failed = number - best
        counted = min(failed, number - warm_up)
        stops = bool(ends_because(number, best, 100, settings))
        assert stops == (counted >= patience)
        if stops:
            assert number >= warm_up + patience
            # nothing since the best epoch was better by more than min_delta
            assert min(losses[best:number]) >= losses[best - 1] - min_delta
            break


@pytest.mark.parametrize(("monitor", "batch"), [("validation_auc", 100), ("validation_significance", 1000)])
def test_what_the_caller_measures_decides(monitor: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # eight batches, the last one padded, or one
    monkeypatch.setattr("tamis.training.loop.VALIDATION_BATCH", batch)
    seen = []

    def measure(scores: np.ndarray) -> float:
        seen.append(scores)
        return -abs(len(seen) - 3)  # the third epoch is the best

    stopping = EarlyStopping(monitor=monitor, patience=2)
    settings = replace_fields(PLAIN, epochs=9, early_stopping=stopping)
    validation = sample(777, 2)
    trained = run(settings, sample(1000, 1), validation, measure=measure)
    assert trained.history.best == 3
    assert [getattr(each, monitor) for each in trained.history.epochs] == [-2, -1, 0, -1, -2]
    assert trained.history.reason == f"no improvement of {monitor} for 2 epochs"
    assert [monitor in each for each in trained.history.to_dict()["epochs"]] == [True] * 5
    # the scores are those of the network, event by event
    np.testing.assert_allclose(seen[2], predict_scores(trained.network, validation.inputs), atol=1e-6)


def test_a_monitor_that_nobody_computes_is_refused() -> None:
    settings = replace_fields(PLAIN, early_stopping=EarlyStopping(monitor="validation_auc"))
    with pytest.raises(RequestError, match=r"monitor is validation_auc, but there is no function"):
        run(settings, sample(100, 1), sample(100, 2))


def test_a_monitor_that_is_no_number_is_refused() -> None:
    settings = replace_fields(PLAIN, early_stopping=EarlyStopping(monitor="validation_auc"))
    with pytest.raises(TrainingError, match=r"validation_auc is nan in epoch 1; monitor validation_loss"):
        run(settings, sample(100, 1), sample(100, 2), measure=lambda _: math.nan)


def test_a_user_brings_a_loss_and_an_optimizer() -> None:
    def squares(logits: jax.Array, target: jax.Array) -> jax.Array:
        return (
            target.sum(axis=0) * ((jax.nn.softmax(logits, axis=0) - (target > 0)) ** 2).mean(axis=0)
        ).sum()

    settings = replace_fields(PLAIN, loss=SquaredError(), optimizer=Sgd(learning_rate=0.1), epochs=2)
    data = sample(1000, 1), sample(777, 2)
    expected = run(settings, *data)
    found = run(replace_fields(PLAIN, epochs=2), *data, choices=Choices(squares, optax.sgd(0.1, 0.9)))
    for first, second in zip(leaves(expected), leaves(found), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    for first, second in zip(expected.history.epochs, found.history.epochs, strict=True):
        assert first.validation_loss == pytest.approx(second.validation_loss, rel=1e-5)
    assert found.history.epochs[0].learning_rate is None
    assert "learning_rate" not in found.history.to_dict()["epochs"][0]


def test_a_schedule_free_training_keeps_the_average() -> None:
    optimizer = ScheduleFreeAdamW(learning_rate=0.05, warm_up=5)
    settings = Training(optimizer=optimizer, epochs=3, batch_size=64, early_stopping=None)
    trained = run(settings, sample(1000, 1), validation := sample(777, 2))
    scores = predict_scores(trained.network, validation.inputs)
    loss = -np.log(scores[np.arange(777), validation.class_index]).mean()
    assert trained.history.epochs[-1].validation_loss == pytest.approx(loss, rel=1e-5)
    assert loss < plain().history.epochs[-1].validation_loss + 0.02


def budget(seconds: float, epochs: int = 100) -> Training:
    return Training(time_budget=seconds, epochs=epochs)


def pace(settings: Training, compiling: float, times: Iterable[float]) -> list[float]:
    """Train with invented times: the time of each epoch that was trained."""
    planned, spent = settings.epochs, []
    for each in times:
        spent.append(each + (0.0 if spent else compiling))
        planned = plan_epochs(planned, settings, spent, compiling)
        assert len(spent) <= planned <= settings.epochs
        if len(spent) == planned:
            break
    return spent


@pytest.mark.parametrize(
    ("seconds", "compiling", "each", "expected"),
    [(10, 2, 1, 8), (10, 0, 1, 10), (10, 9.5, 0.1, 5), (10, 5, 5, 1), (1000, 2, 1, 100), (1, 0, 0.6, 1)],
)
def test_a_time_budget_gives_as_many_epochs_as_fit(
    seconds: float, compiling: float, each: float, expected: int
) -> None:
    assert len(pace(budget(seconds), compiling, repeat(each))) == expected


@given(
    st.floats(0.1, 100),
    st.floats(0, 5),
    st.lists(st.floats(0.05, 1.0), min_size=200, max_size=200),
)
def test_a_time_budget_is_kept_to_one_epoch(seconds: float, compiling: float, times: list[float]) -> None:
    if compiling + times[0] > seconds:
        with pytest.raises(TrainingError, match=r"training\.time_budget"):
            pace(budget(seconds), compiling, times)
        return
    spent = pace(budget(seconds), compiling, times)
    assert sum(spent[:-1]) <= seconds
    assert len(spent) == 100 or sum(spent) > seconds / 25


def test_a_plan_that_has_settled_becomes_only_shorter() -> None:
    settings = budget(100)
    assert plan_epochs(50, settings, [2.0, 2.0], 0.0) == 50
    assert plan_epochs(50, settings, [1.0, 1.0], 0.0) == 100
    assert plan_epochs(50, settings, [1.0] * 10, 0.0) == 50
    assert plan_epochs(50, settings, [4.0] * 10, 0.0) == 25
    assert plan_epochs(7, Training(epochs=7), [9.0] * 3, 0.0) == 7


def test_a_time_budget_shorter_than_an_epoch_is_refused() -> None:
    with pytest.raises(
        TrainingError, match=r"time_budget is 0\.001 s, but the first epoch took .* allow more time"
    ):
        run(replace_fields(PLAIN, time_budget=0.001), sample(100, 1), sample(100, 2))


def test_the_end_of_a_time_budget_is_told() -> None:
    found = ends_because(8, 8, 8, budget(60))
    assert found == "the time budget of 60 s allowed 8 of 100 epochs"


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    settings = replace_fields(PLAIN, optimizer=Sgd(learning_rate=1e30))
    with pytest.raises(
        TrainingError, match=r"not a finite number any more in epoch 1 .* lower training\.optimizer"
    ):
        run(settings, sample(1000, 1), sample(100, 2))


@pytest.mark.parametrize(("events", "batch_size"), [(1000, 64), (10, 64), (128, 64), (65, 64)])
def test_every_event_is_in_every_epoch_once(events: int, batch_size: int) -> None:
    data = sample(events, 1)
    blocks = shuffled_blocks(data, batch_size, 5, place(1, batch_size, [2, 2]))
    seen = [np.array(next(blocks)) for _ in range(3)]
    blocks.close()
    expected = sorted(map(tuple, data.packed(-(-events // batch_size) * batch_size).tolist()))
    for block in seen:
        assert block.shape == (-(-events // batch_size), 4, batch_size)
        assert sorted(map(tuple, block.transpose(0, 2, 1).reshape(-1, 4).tolist())) == expected
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("events", [10_000, 5000, 1030, 4096])
def test_every_event_is_in_every_epoch_of_large_batches_once(events: int) -> None:
    data = WeightedInputs(
        np.arange(events, dtype=np.float32)[:, None], np.zeros(events, np.int32), np.ones(events)
    )
    blocks = shuffled_blocks(data, 1024, 5, place(1, 1024, [2, 2]))
    seen = [np.array(next(blocks))[:, [0, -1]] for _ in range(DEALT_FOR + 1)]
    blocks.close()
    for block in seen:
        number, weight = block.transpose(1, 0, 2).reshape(2, -1)
        assert sorted(number[weight > 0]) == list(range(events))
    assert len({block.tobytes() for block in seen}) == len(seen)

    def together(block: np.ndarray) -> set[int]:
        """Events that follow each other."""
        return {int(a) * events + int(b) for row in block[:, 0] for a, b in pairwise(row)}

    # groups stay together until they are dealt anew
    again = [len(together(seen[0]) & together(other)) / events for other in (seen[1], seen[DEALT_FOR])]
    assert again[0] == pytest.approx(1 - 1 / GROUP, abs=0.03)
    assert again[1] < 0.03


@pytest.mark.parametrize("batch_size", [64, 1024])
def test_an_epoch_can_be_drawn_again(batch_size: int) -> None:
    placement = place(1, batch_size, [2, 2])
    blocks = shuffled_blocks(sample(5000, 1), batch_size, 5, placement)
    tenth = [np.array(next(blocks)) for _ in range(10)][-1]
    blocks.close()
    again = shuffled_blocks(sample(5000, 1), batch_size, 5, placement, first_epoch=9)
    assert np.array(next(again)).tobytes() == tenth.tobytes()
    again.close()


def test_the_shuffle_on_a_device_keeps_every_event() -> None:
    # what a GPU does, run on the CPU: the program is the same
    data = sample(100, 1)
    placement = Placement(place(1, 64, [2, 2]).mesh, "gpu", "test")
    blocks = shuffled_blocks(data, 64, 5, placement)
    seen = [np.array(next(blocks)) for _ in range(2)]
    expected = sorted(map(tuple, data.packed(128).tolist()))
    for block in seen:
        assert sorted(map(tuple, block.transpose(0, 2, 1).reshape(-1, 4).tolist())) == expected
    assert (seen[0] != seen[1]).any()


def test_validation_is_padded_without_effect() -> None:
    block = np.asarray(fixed_block(sample(100, 1), 64, place(1, 64, [2, 2])))
    assert block.shape == (2, 4, 64)
    assert block[:, -1].sum() == pytest.approx(128)
    assert np.count_nonzero(block[:, -1]) == 100


@pytest.mark.parametrize("devices", [3, 5, 6])
def test_validation_divides_evenly_among_any_number_of_devices(devices: int) -> None:
    from tamis.training.batches import _divisible

    for events in (1, 100, 8192, 9000):
        assert _divisible(min(8192, events), devices) % devices == 0


def test_small_batches_stay_on_one_device() -> None:
    assert place("auto", 32, [3, 6, 6, 3]).count == 1
    assert work_of_batch(4096, [18, 60, 30, 15, 10, 6]) == 4096 * 3540


@pytest.mark.parametrize(
    ("available", "batch_size", "expected"),
    [(2, 4096, 2), (128, 4096, 4), (3, 4096, 2), (2, 4097, 1), (8, 65_536, 8)],
)
def test_devices_share_a_batch_where_each_has_enough_to_do(
    available: int, batch_size: int, expected: int
) -> None:
    assert devices_that_pay(available, batch_size, [18, 60, 30, 15, 10, 6]) == expected


def test_too_many_devices_are_refused() -> None:
    with pytest.raises(RequestError, match=r"training\.devices is 99, but there are"):
        place(99, 990, [2, 2])


SHARED = """
from tamis.training.devices import start_devices
start_devices(2)
import jax, numpy as np
from tamis.config import Sgd, Significance
from tests_of_loop import PLAIN, run, sample, replace_fields, leaves
assert len(jax.devices()) == 2
found = []
for devices in (1, 2):
    trained = run(replace_fields(PLAIN, devices=devices, batch_size=256), sample(1000, 1), sample(301, 2))
    assert trained.device == f"{devices} x cpu"
    found.append(trained)
for first, second in zip(*(each.history.epochs for each in found), strict=True):
    assert abs(first.training_loss - second.training_loss) < 1e-5, (first, second)
    assert abs(first.validation_loss - second.validation_loss) < 1e-5, (first, second)
for a, b in zip(*(leaves(each) for each in found), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
again = run(replace_fields(PLAIN, devices=2, batch_size=256), sample(1000, 1), sample(301, 2))
assert [x.tobytes() for x in leaves(again)] == [x.tobytes() for x in leaves(found[1])]
# the means over a batch are those over both devices, and 1000 events leave the last batch half empty
# (with SGD: Adam makes steps of a gradient that is zero but for its rounding)
normalised = [
    run(
        replace_fields(PLAIN, devices=devices, batch_size=240, optimizer=Sgd(learning_rate=0.1)),
        sample(1000, 1), sample(301, 2), normalisation="batch",
    )
    for devices in (1, 2)
]
for a, b in zip(*(leaves(each) for each in normalised), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
mean = normalised[0].network.layers[0].normalisation.mean.value
assert abs(np.asarray(mean)).max() > 0.01
# a loss that is no sum over events stays on one device
whole = replace_fields(PLAIN, loss=Significance(signal=10.0, background=100.0), batch_size=65536, epochs=1)
assert run(whole, sample(1000, 1), sample(301, 2), signal=(1,)).device == "1 x cpu"
print("equal")
"""


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path) -> None:
    # devices are fixed when JAX starts, so this needs a process of its own
    (tmp_path / "tests_of_loop.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    result = subprocess.run(
        [sys.executable, "-c", SHARED], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.stdout.strip() == "equal", result.stderr
