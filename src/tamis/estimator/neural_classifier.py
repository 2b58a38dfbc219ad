"""The scikit-learn estimator: arrays or DataFrames in, the same training loop, scores out.

It needs scikit-learn: `pip install "tamis[sklearn]"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float32
from tamis.config import BinaryCrossEntropy, EarlyStopping
from tamis.data.precision import compute_float32_offsets
from tamis.errors import RequestError
from tamis.estimator.events import OrderedEvents
from tamis.estimator.parameters import Settings, read_settings
from tamis.network.preprocessing import fit_preprocessing
from tamis.random_streams import random_stream
from tamis.statistics.roc import mean_auc
from tamis.training.recipe import Custom, compute_size, resolve_network, resolve_recipe
from tamis.wording import suggest

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import Tags, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        'tamis.NeuralClassifier needs scikit-learn 1.6 or newer; install it with: pip install "tamis[sklearn]"'
    ) from error

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.training.events import EventStream, Trained
    from tamis.training.fit import Metric
    from tamis.training.history import History

_LARGEST_SEED = 2**31 - 1

_FLOATS = [np.float64, np.float32]
"""Accepted types of features; others are converted to the first."""


class NeuralClassifier(ClassifierMixin, BaseEstimator):
    """Classify with a neural network; its training loop is the same as that of `tamis train`.

    `"auto"` is the default of the configuration, and None means none. A section, such as `optimizer`, is a text, a
    mapping with the keys of the YAML file, or an object of `tamis.config`. `fit` checks the parameters.

    Args:
        layers: hidden layers from the inputs to the outputs: numbers of nodes or sections; () is a logistic
            regression.
        activation: activation function of layers that have none.
        embedding: embedding of the inputs before the first layer.
        gains: learned factors of the inputs of the first layer; None has none.
        shared_members: number of members that share all weights except the scales of their inputs and their output
            layers (TabM).
        parametrisation: `standard` or `ntk`.
        output_initialisation: initial weights of the output layer, `random` or `zero`.
        scaling: scaling of the features.
        loss: the loss function; or a differentiable JAX function of logits and target, both [classes, n], the target
            with the weight of each event in the row of its class, that returns a sum over the events.
        optimizer: the optimizer; or an optax transform with its own learning rate.
        learning_rate: the highest learning rate, in place of that of the optimizer.
        schedule: schedule of the learning rate.
        gradient_clip: maximum norm of the gradient.
        ema_decay: decay of the exponential moving average (EMA) of the weights.
        batch_size: events per step.
        epochs: maximum number of epochs.
        early_stopping: whether to stop without improvement; a number is the patience in epochs.
        validation_fraction: fraction of the events that determine when to stop, and when the schedule `plateau` lowers
            the learning rate; None uses the training events. Without both, all events are training events.
        time_budget: maximum duration of each training, in seconds or as a text such as `5min`.
        ensemble: number of members of the ensemble, which have different seeds.
        devices: number of devices that share each batch.
        class_weight: class weights: with `balanced` all classes have the same sum of weights; or a mapping of labels to
            factors, which are 1 if missing.
        signal: label of the signal class, for the loss `significance`; by default the last of `classes_`.
        random_state: seed or generator of the random numbers, as in scikit-learn.

    Attributes:
        classes_: the labels, in the order of the scores, [n_classes].
        n_features_in_: number of features.
        feature_names_in_: names of the features, if `fit` was called with a DataFrame, [n_features].
        preprocessing_: fills, centres and scales of the features.
        networks_: the trained network of each member.
        histories_: the history of the training of each member.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(1)
        >>> background, signal = rng.normal(0, 1, (200, 2)), rng.normal(2, 1, (200, 2))
        >>> X, y = np.concatenate([background, signal]), np.repeat(["bkg", "sig"], 200)
        >>> classifier = NeuralClassifier(layers=[8], epochs=10, random_state=1).fit(X, y)
        >>> classifier.predict([[-1.0, -1.0], [3.0, 3.0]]).tolist()
        ['bkg', 'sig']
    """

    def __init__(
        self,
        layers: Any = "auto",
        *,
        activation: str = "auto",
        embedding: Any = "auto",
        gains: Any = "auto",
        shared_members: int | Literal["auto"] = "auto",
        parametrisation: str = "auto",
        output_initialisation: str = "auto",
        scaling: str = "auto",
        loss: Any = "auto",
        optimizer: Any = "auto",
        learning_rate: float | Literal["auto"] = "auto",
        schedule: Any = "auto",
        gradient_clip: float | Literal["auto"] | None = "auto",
        ema_decay: float | Literal["auto"] | None = "auto",
        batch_size: int | Literal["auto"] = "auto",
        epochs: int | Literal["auto"] = "auto",
        early_stopping: Any = "auto",
        validation_fraction: float | Literal["auto"] | None = "auto",
        time_budget: float | str | None = "auto",
        ensemble: int | Literal["auto"] = "auto",
        devices: int | Literal["auto"] = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        signal: Any = None,
        random_state: Any = None,
    ) -> None:
        """Store the parameters as they are."""
        self.layers = layers
        self.activation = activation
        self.embedding = embedding
        self.gains = gains
        self.shared_members = shared_members
        self.parametrisation = parametrisation
        self.output_initialisation = output_initialisation
        self.scaling = scaling
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.gradient_clip = gradient_clip
        self.ema_decay = ema_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.time_budget = time_budget
        self.ensemble = ensemble
        self.devices = devices
        self.class_weight = class_weight
        self.signal = signal
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NeuralClassifier:
        """Train on features, [n, n_features], NaN if missing, and labels of the classes, [n]; return the estimator.

        Args:
            X: an array or a DataFrame.
            y: labels of any type.
            sample_weight: physics weights, which may be negative, [n].

        Raises:
            ValueError: a parameter or the events are invalid.
            TrainingError: the loss is not finite, or the time budget is too short.
        """
        try:
            settings = read_settings(self.get_params(deep=False))
        except ValueError as error:
            # the label first: a misspelt one is often why someone looks at `signal`
            try:
                _signal_indices(self.signal, np.asarray(y))
            except ValueError as label_error:
                raise ValueError(f"{label_error}\n{error}") from error
            raise
        events = self._read(X, y, sample_weight, settings)
        random = check_random_state(self.random_state)
        is_validation = events.draw(settings.validation_fraction, seed=_draw_seed(random))
        training = events.take(~is_validation)
        training.check_sum("training")
        # without validation events, the training events determine when to stop
        validation = events.take(is_validation) if is_validation.any() else training
        validation.check_sum("validation")
        self.preprocessing_ = fit_preprocessing(
            training.features, training.weight, settings.scaling, missing_allowed=[True] * self.n_features_in_
        )
        size = compute_size(training.weight, self.n_features_in_)
        settings = replace(settings, network=resolve_network(settings.network, size, settings.scaling))
        trained = self._train(settings, training, validation, random)
        self.networks_ = tuple(result.network for result in trained)
        self.histories_ = tuple(result.history for result in trained)
        return self

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, settings: Settings
    ) -> OrderedEvents:
        """Check the events, set the names of classes and features, and weight the events for the loss."""
        features, labels = validate_data(self, X, y, dtype=_FLOATS, ensure_all_finite="allow-nan")
        features = _narrowed(features, compute_float32_offsets(features))
        check_classification_targets(labels)
        self.classes_, class_index = np.unique(labels, return_inverse=True)
        _check_classes(self.classes_, settings)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64)
        one_batch = resolve_recipe(settings.training, len(features)).batch_size
        events = OrderedEvents.of(features, class_index.astype(np.int32), weight, one_batch=one_batch)
        return events.balanced(self.class_weight, self.classes_)

    def _train(
        self,
        settings: Settings,
        training: OrderedEvents,
        validation: OrderedEvents,
        random: np.random.RandomState,
    ) -> tuple[Trained, ...]:
        """Train each member."""
        from tamis.training.devices import start_devices

        start_devices()
        import jax

        from tamis.training.members import train_members

        seeds = [_draw_seed(random) for _ in range(settings.training.ensemble)]
        trainings = [partial(self._start, settings, training, validation, seed) for seed in seeds]
        try:
            return train_members(trainings, len(jax.devices()))
        except RequestError as error:  # the network cannot be built, or there are not enough devices
            raise ValueError(str(error)) from error

    def _start(
        self,
        settings: Settings,
        training: OrderedEvents,
        validation: OrderedEvents,
        seed: int,
        device: int | None,
    ) -> EventStream:
        """Start the training of a member."""
        from tamis.network.network import build_network
        from tamis.training.batches import WeightedInputs
        from tamis.training.fit import fit

        inputs = self.preprocessing_.apply(training.features)
        validation_inputs = self.preprocessing_.apply(validation.features)
        network = build_network(
            inputs.shape[1],
            len(self.classes_),
            settings.network,
            random=random_stream(seed, "training", "initial weights"),
            outputs=1 if _has_one_output(settings) else None,
            training_inputs=inputs,
        )
        return fit(
            network,
            WeightedInputs(inputs, training.class_index, training.weight),
            WeightedInputs(validation_inputs, validation.class_index, validation.weight),
            resolve_recipe(settings.training, len(training), Custom(settings.loss, settings.optimizer)),
            seed=seed,
            ntk=settings.network.parametrisation == "ntk",
            signal=_signal_indices(self.signal, self.classes_),
            metric=_build_metric(settings.training.early_stopping, validation),
            device=device,
        )

    def predict_proba(self, X: ArrayLike) -> Float32:
        """Compute the scores, [n, n_classes], in the order of `classes_`; features, [n, n_features], may be NaN."""
        from tamis.network.prediction import predict_scores

        check_is_fitted(self)
        features = validate_data(self, X, reset=False, dtype=_FLOATS, ensure_all_finite="allow-nan")
        features = _narrowed(features, self.preprocessing_.offset)
        inputs = self.preprocessing_.apply(features)
        scores: Float32 = np.mean([predict_scores(network, inputs) for network in self.networks_], axis=0)
        return scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label with the highest score for each event, [n], of features, [n, n_features], NaN if missing."""
        highest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[highest])

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with the networks as arrays of NumPy, which are read without starting JAX."""
        import jax

        state: dict[str, Any] = super().__getstate__()
        if "networks_" not in state:
            return state
        networks = jax.tree.map(
            lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, state["networks_"]
        )
        return {**state, "networks_": networks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start all devices before the first computation of JAX, so that later trainings can use them."""
        from tamis.training.devices import start_devices

        start_devices()
        super().__setstate__(state)

    @property
    def network_(self) -> Network:
        """The trained network, that of the first member of an ensemble."""
        return self.networks_[0]

    @property
    def history_(self) -> History:
        """The history of the training, that of the first member of an ensemble."""
        return self.histories_[0]

    def __sklearn_tags__(self) -> Tags:
        """Return tags that allow missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _has_one_output(settings: Settings) -> bool:
    return settings.loss is None and isinstance(settings.training.loss, BinaryCrossEntropy)


def _check_classes(classes: NDArray[Any], settings: Settings) -> None:
    if len(classes) < 2:
        raise ValueError(f"expected at least 2 classes in y, found 1 class: {classes.tolist()[0]!r}")
    if _has_one_output(settings) and len(classes) > 2:
        raise ValueError(
            f"the loss binary_cross_entropy is for 2 classes, and y has {len(classes)}; use cross_entropy"
        )


def _draw_seed(random: np.random.RandomState) -> int:
    return int(random.randint(_LARGEST_SEED))


def _signal_indices(signal: Any, classes: NDArray[Any]) -> tuple[int, ...]:
    if signal is None:
        return (len(classes) - 1,)
    labels = list(dict.fromkeys(classes.ravel().tolist()))
    label = np.asarray(signal).item()
    if label not in labels:
        near = suggest(str(label), map(str, labels))
        raise ValueError(f"signal: there is no class {label!r}; the classes are {labels}{near}")
    return (labels.index(label),)


def _narrowed(
    features: NDArray[np.floating[Any]], offset: NDArray[np.float64] | None
) -> NDArray[np.float32] | NDArray[np.float64]:
    """Round features to 32 bits, except those with an offset, which 32 bits do not resolve."""
    with np.errstate(over="ignore"):
        narrow = features.astype(np.float32, copy=False)
    if np.isinf(narrow).any():
        raise ValueError("Input X contains infinity or a value too large for dtype('float32').")
    if offset is None:
        return narrow
    return np.where(offset != 0, features, narrow.astype(np.float64))


def _build_metric(early_stopping: EarlyStopping | None, validation: OrderedEvents) -> Metric | None:
    """Build the metric that early stopping monitors; None for a loss or an accuracy."""
    monitor = None if early_stopping is None else early_stopping.monitor
    if monitor == "validation_significance":
        raise ValueError(
            "early_stopping: validation_significance needs expected numbers of events, which NeuralClassifier does not "
            "have; monitor validation_loss, validation_accuracy or validation_auc"
        )
    if monitor != "validation_auc":
        return None
    return lambda scores: mean_auc(scores, validation.class_index, validation.weight)
