"""ROC curves of the signal score, the network beside the baselines."""

from __future__ import annotations

from tamis.plots.book import Drawing
from tamis.plots.labels import FigureLabels, class_styles
from tamis.plots.roc import RocLine, plot_roc
from tamis.studies.baselines import LABELS
from tamis.studies.baselines.result import BaselinesResult


def figures(result: BaselinesResult, _labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study."""
    baselines = result.baselines
    network_style, *baseline_styles = class_styles(
        ["network", *(LABELS.get(baseline.name, baseline.name) for baseline in baselines)]
    )
    marks = result.working_points if len(result.working_points.signal_efficiency) else None
    lines = [RocLine(network_style, result.network, result.optimum, marks)]
    for style, baseline in zip(baseline_styles, baselines, strict=True):
        lines.append(RocLine(style, baseline.signal.curve, line="-."))
    return [Drawing("roc_baselines", plot_roc, {"lines": lines, "optimum_name": result.optimum_name})]
