"""The scikit-learn estimator: arrays or DataFrames in, the same training loop, scores out.

It needs scikit-learn, which the extra `sklearn` brings: `pip install "tamis[sklearn]"`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.config import BinaryCrossEntropy, Training
from tamis.data.precision import float32_offsets
from tamis.errors import RequestError
from tamis.estimator.events import Float32, LabelledEvents
from tamis.estimator.parameters import Settings, read_settings
from tamis.evaluation.roc import roc_curves
from tamis.network.preprocessing import fit_preprocessing
from tamis.random_streams import random_stream
from tamis.training.recipe import settle_recipe, settle_training, size_of

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
    from tamis.training.history import Epoch, History
    from tamis.training.loop import Measure, Trained

_LARGEST_SEED = 2**31 - 1

_FLOATS = [np.float64, np.float32]
"""Types in which features are taken; others are converted to the first."""


class NeuralClassifier(ClassifierMixin, BaseEstimator):
    """Classify with a neural network that is trained by the same loop as `tamis train`.

    `"auto"` takes what the configuration takes by default, and None means none. A section, such as `optimizer`, is
    given as a text, as a mapping with the keys of the YAML file, or as an object of `tamis.config`. What is given
    is kept as it is, and checked by `fit`.

    Args:
        layers: hidden layers from the inputs to the outputs: numbers of nodes or sections; () is a logistic
            regression.
        activation: the function behind each node, for layers that do not name their own.
        embedding: what each input becomes before the first layer.
        members: networks that share all weights but the scales of their inputs and their output layers (TabM).
        parametrisation: `standard` or `ntk`.
        output: initial weights of the output layer, `random` or `zero`.
        scaling: what happens to the features before the first layer.
        loss: what is made small; or a function of logits and target, both [classes, n], the target with the weight
            of each event in the row of its class, that gives a sum over the events and that JAX can differentiate.
        optimizer: how steps are made; or an optax transform with a learning rate of its own.
        learning_rate: the highest learning rate, instead of the optimizer's.
        schedule: how the learning rate changes over the training.
        gradient_clip: longest gradient that is used.
        average: part of the moving average of the weights that is kept in each step.
        batch_size: events per step.
        epochs: how often every training event is used, at most.
        early_stopping: whether to stop when nothing is gained any more; a number is the patience in epochs.
        validation_fraction: fraction of the events that is kept back to decide when to stop; without it the
            training events decide. Nothing is kept back where nothing is decided.
        time_budget: how long each training may take, in seconds or as a text such as `5min`.
        seeds: networks that are trained from different random numbers and averaged.
        devices: over how many devices each batch is divided.
        class_weight: training factors: `balanced` gives all classes the same sum of weights, a mapping gives a
            factor for each class, 1 where it is left out.
        signal: the label of the signal class, for the loss `significance`; by default the last of `classes_`.
        random_state: where the random numbers come from, as scikit-learn takes it.

    Attributes:
        classes_: the labels, in the order of the scores, [n_classes].
        n_features_in_: number of features.
        feature_names_in_: their names, where `fit` was given a DataFrame, [n_features].
        preprocessing_: fills, centres and scales of the features.
        networks_: the trained networks, one for each seed.
        histories_: what each training did.

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
        members: int | Literal["auto"] = "auto",
        parametrisation: str = "auto",
        output: str = "auto",
        scaling: str = "auto",
        loss: Any = "auto",
        optimizer: Any = "auto",
        learning_rate: float | Literal["auto"] = "auto",
        schedule: Any = "auto",
        gradient_clip: float | Literal["auto"] | None = "auto",
        average: float | Literal["auto"] | None = "auto",
        batch_size: int | Literal["auto"] = "auto",
        epochs: int | Literal["auto"] = "auto",
        early_stopping: Any = "auto",
        validation_fraction: float | Literal["auto"] | None = "auto",
        time_budget: float | str | None = "auto",
        seeds: int | Literal["auto"] = "auto",
        devices: int | Literal["auto"] = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        signal: Any = None,
        random_state: Any = None,
    ) -> None:
        """Keep the parameters as they are."""
        self.layers = layers
        self.activation = activation
        self.embedding = embedding
        self.members = members
        self.parametrisation = parametrisation
        self.output = output
        self.scaling = scaling
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.gradient_clip = gradient_clip
        self.average = average
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.time_budget = time_budget
        self.seeds = seeds
        self.devices = devices
        self.class_weight = class_weight
        self.signal = signal
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NeuralClassifier:
        """Train.

        Args:
            X: features, NaN where missing, [n, n_features]; an array or a DataFrame.
            y: labels of the classes, [n].
            sample_weight: physics weights, which may be negative, [n].

        Returns:
            The estimator itself.

        Raises:
            ValueError: a parameter or the events cannot be used.
            TrainingError: the loss is not a finite number any more, or the time budget is too short.
        """
        settings = read_settings(self.get_params(deep=False))
        events = self._read(X, y, sample_weight, settings)
        random = check_random_state(self.random_state)
        chosen = events.draw(settings.validation_fraction, seed=_draw_seed(random))
        training = events.take(~chosen).with_positive_sum("training")
        # without events to decide on, the training events decide
        validation = events.take(chosen).with_positive_sum("validation") if chosen.any() else training
        self.preprocessing_ = fit_preprocessing(
            training.features, training.weight, settings.scaling, missing_allowed=[True] * self.n_features_in_
        )
        size = size_of(training.weight, self.n_features_in_)
        network, learning = settle_recipe(settings.network, settings.training, size)
        settings = replace(settings, network=network, training=learning)
        trained = self._train(settings, training, validation, random)
        self.networks_ = tuple(each.network for each in trained)
        self.histories_ = tuple(each.history for each in trained)
        return self

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, settings: Settings
    ) -> LabelledEvents:
        """Check the events, learn names of classes and features, and weigh the events for the loss."""
        features, labels = validate_data(self, X, y, dtype=_FLOATS, ensure_all_finite="allow-nan")
        features = _narrowed(features, float32_offsets(features))
        check_classification_targets(labels)
        self.classes_, class_index = np.unique(labels, return_inverse=True)
        _check_classes(self.classes_, settings)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64)
        one_batch = settle_training(settings.training, len(features)).settled_batch_size
        events = LabelledEvents.of(features, class_index.astype(np.int32), weight, one_batch=one_batch)
        return events.balanced(self.class_weight, self.classes_)

    def _train(
        self,
        settings: Settings,
        training: LabelledEvents,
        validation: LabelledEvents,
        random: np.random.RandomState,
    ) -> tuple[Trained, ...]:
        """Train a network for each seed.

        Raises:
            ValueError: the network cannot be built, or there are not as many devices.
        """
        from tamis.training.devices import start_devices

        start_devices()
        import jax

        from tamis.training.members import train_members

        seeds = [_draw_seed(random) for _ in range(settings.training.seeds)]
        begins = [partial(self._begin, settings, training, validation, seed) for seed in seeds]
        try:
            return train_members(begins, len(jax.devices()))
        except RequestError as error:
            raise ValueError(str(error)) from error

    def _begin(
        self,
        settings: Settings,
        training: LabelledEvents,
        validation: LabelledEvents,
        seed: int,
        device: int | None,
    ) -> Generator[Epoch, None, Trained]:
        """Begin the training of one network."""
        from tamis.network.network import build_network
        from tamis.training.loop import Choices, train

        inputs = self.preprocessing_.apply(training.features)
        network = build_network(
            inputs.shape[1],
            len(self.classes_),
            settings.network,
            random=random_stream(seed, "training", "initial weights"),
            outputs=1 if _has_one_output(settings) else None,
            sample=inputs,
        )
        return train(
            network,
            training.weighted_inputs(inputs),
            validation.weighted_inputs(self.preprocessing_.apply(validation.features)),
            settings.training,
            seed=seed,
            ntk=settings.network.parametrisation == "ntk",
            signal=_signal_indices(self.signal, self.classes_),
            measure=_measure(settings.training, validation),
            choices=Choices(settings.loss, settings.optimizer),
            device=device,
        )

    def predict_proba(self, X: ArrayLike) -> Float32:
        """Compute the scores of events, [n, n_classes], in the order of `classes_`; each row sums to one.

        Args:
            X: features, NaN where missing, [n, n_features].
        """
        from tamis.network.prediction import predict_scores

        check_is_fitted(self)
        features = validate_data(self, X, reset=False, dtype=_FLOATS, ensure_all_finite="allow-nan")
        features = _narrowed(features, self.preprocessing_.offset)
        inputs = self.preprocessing_.apply(features)
        scores: Float32 = np.mean([predict_scores(network, inputs) for network in self.networks_], axis=0)
        return scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Give the label with the highest score for each event, [n].

        Args:
            X: features, NaN where missing, [n, n_features].
        """
        highest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[highest])

    @property
    def network_(self) -> Network:
        """The trained network, the first where there are several."""
        return self.networks_[0]

    @property
    def history_(self) -> History:
        """What the training did, epoch by epoch; the first where there are several."""
        return self.histories_[0]

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that values may be missing."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _has_one_output(settings: Settings) -> bool:
    return settings.loss is None and isinstance(settings.training.loss, BinaryCrossEntropy)


def _check_classes(classes: NDArray[Any], settings: Settings) -> None:
    if len(classes) < 2:
        raise ValueError(f"expected at least 2 classes in y, found 1 class: {classes[0]!r}")
    if _has_one_output(settings) and len(classes) > 2:
        raise ValueError(
            f"the loss binary_cross_entropy is for 2 classes, and y has {len(classes)}; use cross_entropy"
        )


def _draw_seed(random: np.random.RandomState) -> int:
    return int(random.randint(_LARGEST_SEED))


def _signal_indices(signal: Any, classes: NDArray[Any]) -> tuple[int, ...]:
    if signal is None:
        return (len(classes) - 1,)
    labels = classes.tolist()
    wanted = np.asarray(signal).item()
    if wanted not in labels:
        raise ValueError(f"signal: there is no class {wanted!r}; the classes are {labels}")
    return (labels.index(wanted),)


def _narrowed(
    features: NDArray[np.floating[Any]], offset: NDArray[np.float64] | None
) -> NDArray[np.float32] | NDArray[np.float64]:
    """Round features to 32 bits, but for those that have an offset because 32 bits do not resolve them.

    Raises:
        ValueError: a value is too large for 32 bits.
    """
    with np.errstate(over="ignore"):
        narrow = features.astype(np.float32, copy=False)
    if np.isinf(narrow).any():
        raise ValueError("Input X contains infinity or a value too large for dtype('float32').")
    if offset is None:
        return narrow
    return np.where(offset != 0, features, narrow.astype(np.float64))


def _measure(training: Training, validation: LabelledEvents) -> Measure | None:
    """Give what early stopping monitors, where it is neither loss nor accuracy."""
    monitor = None if training.early_stopping is None else training.early_stopping.monitor
    if monitor == "validation_significance":
        raise ValueError(
            "early_stopping: NeuralClassifier does not know expected numbers of events, which validation_significance "
            "needs; monitor validation_loss, validation_accuracy or validation_auc"
        )
    if monitor != "validation_auc":
        return None

    def area(scores: Float32) -> float:
        curves = roc_curves(scores, validation.class_index, validation.weight)
        return float(np.mean([0.5 if curve is None else curve.auc for curve in curves]))

    return area
