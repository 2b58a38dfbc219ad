"""The figures of a run, by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tamis.data.split import PARTS, TEST, TRAINING
from tamis.evaluation.distributions import feature_distributions, score_distribution
from tamis.evaluation.overtraining import KolmogorovSmirnov
from tamis.evaluation.roc import background_rejection
from tamis.evaluation.scored import units_of
from tamis.pipeline.judging import samples
from tamis.plots.book import Drawing
from tamis.plots.calibration import plot_calibration
from tamis.plots.confusion import plot_confusion
from tamis.plots.correlations import (
    correlation_pages,
    plot_correlation_difference,
    plot_correlation_page,
)
from tamis.plots.history import plot_history
from tamis.plots.importance import plot_importance
from tamis.plots.inputs import input_pages, plot_input_page
from tamis.plots.labels import ClassStyle, axis_label, class_styles
from tamis.plots.pairs import outline_pairs, plot_pair_curves, plot_pairs
from tamis.plots.roc import RocLine, least_efficiency, outline_of, plot_outlines
from tamis.plots.scores import plot_scores
from tamis.plots.sculpting import plot_sculpting
from tamis.plots.significance import plot_binning, plot_significance
from tamis.plots.stability import plot_stability
from tamis.plots.verdict import plot_verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tamis.config import Config
    from tamis.pipeline.run import Run

# A chapter of the book is drawn by one process. Each has fonts of its own, which take a tenth of a second; few chapters
# leave processes idle.
_LARGE_FIGURES = 2
_FIGURES = 6


def draw_run(run: Run) -> dict[str, Figure]:
    """Draw every figure of a run.

    Args:
        run: what the pipeline returned.

    Returns:
        Figures by name, in the order of the book.

    Raises:
        RequestError: the run was read back from its folder, which does not hold the events that figures need.
    """
    from tamis.pipeline.run import check_trained  # processes that only draw do without the pipeline

    check_trained(run, "draw_run")
    return {drawing.name: drawing.draw() for chapter in chapters_of(run) for drawing in chapter}


def chapters_of(run: Run) -> list[tuple[Drawing, ...]]:
    """Return what has to be drawn for a run, in the order of the book.

    Events and curves are reduced to histograms and outlines here, so that the drawings of any run take a few
    megabytes and can be sent to other processes. The figures of one chapter are drawn by one of them.

    Args:
        run: what the pipeline returned.
    """
    styles = _styles(run.config)
    results = [
        *_histories(run),
        *_confusion(run, styles),
        *_scores(run, styles),
        *_roc(run, styles),
        *_baselines(run),
        *_stability(run, styles),
        *_pairs(run, styles),
        *_calibration(run, styles),
        *_search(run, styles),
        *_importance(run, styles),
        *_sculpting(run, styles),
        *_verdict(run, styles),
    ]
    return [
        *_batches(_inputs(run, styles), _LARGE_FIGURES),
        *_batches(_correlations(run, styles), _LARGE_FIGURES),
        *_batches(results, _FIGURES),
    ]


def _batches(drawings: Sequence[Drawing], size: int) -> list[tuple[Drawing, ...]]:
    return [tuple(drawings[first : first + size]) for first in range(0, len(drawings), size)]


def _styles(config: Config) -> tuple[ClassStyle, ...]:
    return class_styles(config.class_names, [section.label for section in config.classes.values()])


def _inputs(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    events, labels = run.prepared.events, _feature_labels(run.config)
    distributions = feature_distributions(
        events.features,
        events.class_index,
        events.weight,
        *samples(run.config, run.prepared).compared,
        classes=len(styles),
        units=units_of(events.class_index, events.identity),
    )
    pages = [
        {"distributions": distributions[page], "classes": styles, "features": labels[page]}
        for page in input_pages(len(labels))
    ]
    return [
        Drawing(name, plot_input_page, arguments)
        for name, arguments in zip(_numbered("inputs", len(pages)), pages, strict=True)
    ]


def _feature_labels(config: Config) -> list[str]:
    return [axis_label(feature.name, feature.label, feature.unit) for feature in config.features]


def _numbered(name: str, pages: int) -> list[str]:
    """Name the files of several pages.

    >>> _numbered("inputs", 1), _numbered("inputs", 2)
    (['inputs'], ['inputs_1', 'inputs_2'])
    """
    return [name] if pages == 1 else [f"{name}_{number}" for number in range(1, pages + 1)]


def _correlations(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    inputs = run.evaluation.inputs
    if inputs is None or len(run.config.features) < 2:
        return []
    # the unit of a feature is of no matter here
    features = [axis_label(feature.name, feature.label) for feature in run.config.features]
    matrices = list(zip((style.text for style in styles), inputs.correlations.values(), strict=True))
    pages = correlation_pages(len(matrices))
    drawings = [
        Drawing(name, plot_correlation_page, {"found": matrices[page], "features": features})
        for name, page in zip(_numbered("correlations", len(pages)), pages, strict=True)
    ]
    if inputs.contrast is not None:
        arguments = {
            "difference": inputs.contrast,
            "features": features,
            "title": "all signal minus all background",
        }
        drawings.append(Drawing("correlations_difference", plot_correlation_difference, arguments))
    return drawings


def _histories(run: Run) -> list[Drawing]:
    if len(run.members) == 1:
        return [Drawing("history", plot_history, {"history": run.trained.history})]
    names = _names_of_members([member.fold for member in run.classifier.members])
    return [
        Drawing(f"history_{name}", plot_history, {"history": trained.history})
        for name, trained in zip(names, run.members, strict=True)
    ]


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


def _confusion(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    confusion = run.evaluation.parts["test"].physics.confusion
    return [Drawing("confusion", plot_confusion, {"confusion": confusion, "classes": styles})]


def _scores(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    names = run.config.class_names
    return [
        Drawing(f"score_{name}", plot_scores, _score(run, styles, column))
        for column, name in enumerate(names)
    ]


def _score(run: Run, styles: tuple[ClassStyle, ...], column: int) -> Mapping[str, Any]:
    events = run.prepared.events
    training, test = run.parts[PARTS[TRAINING]], run.parts[PARTS[TEST]]
    units = units_of(events.class_index, events.identity)
    distribution = score_distribution(
        training.scores[:, column],
        events.class_index[training.rows],
        events.weight[training.rows],
        test.scores[:, column],
        events.class_index[test.rows],
        events.weight[test.rows],
        classes=len(styles),
        units=None if units is None else (units[training.rows], units[test.rows]),
    )
    tests = _score_tests(run, run.config.class_names, column)
    return {"distribution": distribution, "classes": styles, "column": column, "tests": tests}


def _score_tests(run: Run, names: Sequence[str], column: int) -> list[KolmogorovSmirnov | None]:
    """Give the tests of one score with the p-values of the permutations, where there are any."""
    tests = [row[column] for row in run.evaluation.overtraining]
    verdict = run.evaluation.verdict
    if verdict is None:
        return tests
    p_values = {each.class_name: each.p_value for each in verdict.comparisons if each.score == names[column]}
    return [test and replace(test, p_value=p_values[name]) for name, test in zip(names, tests, strict=True)]


def _roc(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    evaluation = run.evaluation
    lines = [
        RocLine(style, curve, evaluation.limit_curves.get(index), points or ())
        for index, (style, curve, points) in enumerate(
            zip(styles, evaluation.curves, evaluation.working_points, strict=True)
        )
        if curve is not None
    ]
    return [_outlined("roc", lines, run)]


def _outlined(name: str, lines: Sequence[RocLine], run: Run) -> Drawing:
    limit_name = "limit" if run.evaluation.limit is not None else "reference"
    outlines = [outline_of(line) for line in lines]
    return Drawing(name, plot_outlines, {"lines": outlines, "limit_name": limit_name})


def _baselines(run: Run) -> list[Drawing]:
    """Compare the signal score of the network with that of the baselines, where there are any."""
    if not run.baselines:
        return []
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
    return [_outlined("roc_baselines", lines, run)]


_BASELINES = {"xgboost": "XGBoost", "logistic": "logistic regression", "cuts": "cuts"}


def _stability(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    evaluation = run.evaluation
    if evaluation.stability is None:
        return []
    test = PARTS[TEST]
    arguments = {
        "stability": evaluation.stability,
        "together": evaluation.parts[test].physics,
        "intervals": evaluation.intervals[test]["physics"],
        "classes": styles,
    }
    return [Drawing("stability", plot_stability, arguments)]


def _pairs(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    """Compare classes pair by pair; with two classes the ROC curve says it all."""
    if len(styles) < 3:
        return []
    names, curves = run.config.class_names, run.evaluation.pair_curves
    drawings = [Drawing("one_versus_one", plot_pairs, {"pairs": run.evaluation.pairs, "classes": styles})]
    for signal in dict.fromkeys(each.signal for each in curves):
        outlines = outline_pairs([each for each in curves if each.signal == signal], classes=styles)
        arguments = {"outlines": outlines, "signal": styles[signal].text}
        drawings.append(Drawing(f"one_versus_one_{names[signal]}", plot_pair_curves, arguments))
    return drawings


def _calibration(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    calibration = run.evaluation.calibration
    if calibration is None:
        return []
    arguments = {
        "before": calibration.balanced,
        "after": calibration.with_temperature,
        "classes": styles,
    }
    return [Drawing("calibration", plot_calibration, arguments)]


def _search(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    search = run.evaluation.search
    if search is None:
        return []
    drawings = [Drawing("significance", plot_significance, {"search": search})]
    if search.binning is not None:
        drawings.append(Drawing("binning", plot_binning, {"search": search, "classes": styles}))
    return drawings


def _importance(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    importance = run.evaluation.importance
    if not importance:
        return []
    labels = {feature.name: axis_label(feature.name, feature.label) for feature in run.config.features}
    return [
        Drawing("importance", plot_importance, {"found": importance, "classes": styles, "labels": labels})
    ]


def _sculpting(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    cuts = [f"signal efficiency {100 * point:g}%" for point in run.config.evaluation.working_points]
    drawings = []
    for spectator in run.config.spectators:
        sculpting = [each for each in run.evaluation.sculpting if each.spectator == spectator.name]
        if sculpting:
            label = axis_label(spectator.name, spectator.label, spectator.unit)
            arguments = {"found": sculpting, "classes": styles, "label": label, "cuts": cuts}
            drawings.append(Drawing(f"sculpting_{spectator.name}", plot_sculpting, arguments))
    return drawings


def _verdict(run: Run, styles: tuple[ClassStyle, ...]) -> list[Drawing]:
    verdict = run.evaluation.verdict
    if verdict is None:
        return []
    arguments = {"verdict": verdict, "class_names": run.config.class_names, "classes": styles}
    return [Drawing("verdict", plot_verdict, arguments)]
