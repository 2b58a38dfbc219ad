"""The figures of a run, by the names of their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tamis.data.split import PARTS, TEST, TRAINING
from tamis.evaluation.overtraining import KolmogorovSmirnov
from tamis.evaluation.roc import background_rejection
from tamis.pipeline.judging import samples
from tamis.plots.calibration import plot_calibration
from tamis.plots.confusion import plot_confusion
from tamis.plots.correlations import plot_correlation_difference, plot_correlations
from tamis.plots.history import plot_history
from tamis.plots.importance import plot_importance
from tamis.plots.inputs import plot_inputs
from tamis.plots.labels import ClassStyle, axis_label, class_styles
from tamis.plots.pairs import plot_pair_curves, plot_pairs
from tamis.plots.roc import RocLine, least_efficiency, plot_roc
from tamis.plots.scores import plot_scores
from tamis.plots.sculpting import plot_sculpting
from tamis.plots.significance import plot_binning, plot_significance
from tamis.plots.stability import plot_stability
from tamis.plots.verdict import plot_verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tamis.pipeline import Run


def draw_run(run: Run) -> dict[str, Figure]:
    """Draw every figure of a run.

    Args:
        run: what the pipeline returned.

    Returns:
        Figures by name, in the order of the book.
    """
    names = run.config.class_names
    styles = class_styles(names, [section.label for section in run.config.classes.values()])
    confusion = plot_confusion(run.evaluation.parts["test"].physics.confusion, classes=styles)
    return {
        **_inputs(run, styles),
        **_correlations(run, styles),
        **_histories(run),
        "confusion": confusion,
        **{f"score_{name}": _scores(run, styles, index) for index, name in enumerate(names)},
        "roc": _roc(run, styles),
        **_baselines(run),
        **_stability(run, styles),
        **_pairs(run, styles),
        **_calibration(run, styles),
        **_search(run, styles),
        **_importance(run, styles),
        **_sculpting(run, styles),
        **_verdict(run, styles),
    }


def _inputs(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    events = run.prepared.events
    pages = plot_inputs(
        events.features,
        events.class_index,
        events.weight,
        *samples(run.config, run.prepared).compared,
        classes=styles,
        features=_feature_labels(run),
    )
    return _numbered("inputs", pages)


def _feature_labels(run: Run) -> list[str]:
    return [axis_label(feature.name, feature.label, feature.unit) for feature in run.config.features]


def _numbered(name: str, pages: list[Figure]) -> dict[str, Figure]:
    if len(pages) == 1:
        return {name: pages[0]}
    return {f"{name}_{number}": page for number, page in enumerate(pages, start=1)}


def _correlations(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    inputs = run.evaluation.inputs
    if inputs is None or len(run.config.features) < 2:
        return {}
    # the unit of a feature is of no matter here
    features = [axis_label(feature.name, feature.label) for feature in run.config.features]
    matrices = zip((style.text for style in styles), inputs.correlations.values(), strict=True)
    figures = _numbered("correlations", plot_correlations(list(matrices), features=features))
    if inputs.contrast is not None:
        title = "all signal minus all background"
        figures["correlations_difference"] = plot_correlation_difference(
            inputs.contrast, features=features, title=title
        )
    return figures


def _histories(run: Run) -> dict[str, Figure]:
    if len(run.members) == 1:
        return {"history": plot_history(run.trained.history)}
    names = _names_of_members([member.fold for member in run.classifier.members])
    return {
        f"history_{name}": plot_history(trained.history)
        for name, trained in zip(names, run.members, strict=True)
    }


def _names_of_members(folds: Sequence[int | None]) -> list[str]:
    """Name networks by the fold that they never saw, counted from 0, and by their number among those of that fold.

    >>> _names_of_members([0, 1]), _names_of_members([None, None]), _names_of_members([0, 0, 1, 1])[:2]
    (['fold_0', 'fold_1'], ['network_1', 'network_2'], ['fold_0_network_1', 'fold_0_network_2'])
    """
    several = len(set(folds)) < len(folds)
    names = []
    for position, fold in enumerate(folds):
        number = folds[: position + 1].count(fold)
        parts = ([] if fold is None else [f"fold_{fold}"]) + ([f"network_{number}"] if several else [])
        names.append("_".join(parts))
    return names


def _scores(run: Run, styles: tuple[ClassStyle, ...], column: int) -> Figure:
    events = run.prepared.events
    training, test = run.parts[PARTS[TRAINING]], run.parts[PARTS[TEST]]
    return plot_scores(
        training.scores[:, column],
        events.class_index[training.rows],
        events.weight[training.rows],
        test.scores[:, column],
        events.class_index[test.rows],
        events.weight[test.rows],
        classes=styles,
        column=column,
        tests=_score_tests(run, run.config.class_names, column),
    )


def _score_tests(run: Run, names: Sequence[str], column: int) -> list[KolmogorovSmirnov | None]:
    """Give the tests of one score with the p-values of the permutations, where there are any."""
    tests = [row[column] for row in run.evaluation.overtraining]
    verdict = run.evaluation.verdict
    if verdict is None:
        return tests
    p_values = {each.class_name: each.p_value for each in verdict.comparisons if each.score == names[column]}
    return [test and replace(test, p_value=p_values[name]) for name, test in zip(names, tests, strict=True)]


def _roc(run: Run, styles: tuple[ClassStyle, ...]) -> Figure:
    evaluation = run.evaluation
    lines = [
        RocLine(style, curve, evaluation.limit_curves.get(index), points or ())
        for index, (style, curve, points) in enumerate(
            zip(styles, evaluation.curves, evaluation.working_points, strict=True)
        )
        if curve is not None
    ]
    return plot_roc(lines, limit_name=_limit_name(run))


def _baselines(run: Run) -> dict[str, Figure]:
    """Draw the signal scores of the network and of the baselines, where there are any."""
    if not run.baselines:
        return {}
    network = run.baselines[0].signal.network
    points = background_rejection(network, run.config.evaluation.working_points)
    first, *others = class_styles(["network", *(_BASELINES[each.name] for each in run.baselines)])
    # where several classes are signal, the limit of their sum is not known
    signal = run.config.signal_names
    index = run.config.class_names.index(signal[0])
    limit = run.evaluation.limit_curves.get(index) if len(signal) == 1 else None
    lines = [RocLine(first, network, limit, points)]
    least = least_efficiency(network)
    for style, each in zip(others, run.baselines, strict=True):
        lines.append(RocLine(style, each.signal.curve, line="-.", least=least))
    return {"roc_baselines": plot_roc(lines, limit_name=_limit_name(run))}


_BASELINES = {"xgboost": "XGBoost", "logistic": "logistic regression", "cuts": "cuts"}


def _limit_name(run: Run) -> str:
    return "limit" if run.evaluation.limit is not None else "reference"


def _stability(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    evaluation = run.evaluation
    if evaluation.stability is None:
        return {}
    test = PARTS[TEST]
    together, intervals = evaluation.parts[test].physics, evaluation.intervals[test]["physics"]
    return {"stability": plot_stability(evaluation.stability, together, intervals, classes=styles)}


def _pairs(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    """Compare classes pair by pair; with two classes the ROC curve says it all."""
    if len(styles) < 3:
        return {}
    names, curves = run.config.class_names, run.evaluation.pair_curves
    found = {"one_versus_one": plot_pairs(run.evaluation.pairs, classes=styles)}
    for signal in dict.fromkeys(each.signal for each in curves):
        own = [each for each in curves if each.signal == signal]
        found[f"one_versus_one_{names[signal]}"] = plot_pair_curves(own, classes=styles)
    return found


def _calibration(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    found = run.evaluation.calibration
    if found is None:
        return {}
    return {"calibration": plot_calibration(found.balanced, found.with_temperature, classes=styles)}


def _search(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    search = run.evaluation.search
    if search is None:
        return {}
    figures = {"significance": plot_significance(search)}
    return figures if search.binning is None else {**figures, "binning": plot_binning(search, classes=styles)}


def _importance(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    found = run.evaluation.importance
    if not found:
        return {}
    labels = {feature.name: axis_label(feature.name, feature.label) for feature in run.config.features}
    return {"importance": plot_importance(found, classes=styles, labels=labels)}


def _sculpting(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    cuts = [f"signal efficiency {100 * point:g}%" for point in run.config.evaluation.working_points]
    figures = {}
    for spectator in run.config.spectators:
        own = [each for each in run.evaluation.sculpting if each.spectator == spectator.name]
        if own:
            label = axis_label(spectator.name, spectator.label, spectator.unit)
            figures[f"sculpting_{spectator.name}"] = plot_sculpting(
                own, classes=styles, label=label, cuts=cuts
            )
    return figures


def _verdict(run: Run, styles: tuple[ClassStyle, ...]) -> dict[str, Figure]:
    verdict = run.evaluation.verdict
    if verdict is None:
        return {}
    return {"verdict": plot_verdict(verdict, class_names=run.config.class_names, classes=styles)}
