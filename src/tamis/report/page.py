"""The page of one run: which blocks stand in which section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tamis.files import write_text
from tamis.plots.book import BOOK
from tamis.plots.style import colours
from tamis.report import tables
from tamis.report.baselines import baselines_section
from tamis.report.blocks import (
    Block,
    Drawing,
    Explorer,
    Findings,
    Listing,
    Page,
    Picture,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
)
from tamis.report.captions import caption_of, place_of
from tamis.report.details import (
    importance_section,
    inputs_section,
    negative_section,
    pairs_table,
    stability_section,
)
from tamis.report.diagram import Column, draw_network
from tamis.report.epochs import epochs_sentence
from tamis.report.findings import findings_of
from tamis.report.numbers import minus, significant, typeset, with_error, with_interval
from tamis.report.rendering import render
from tamis.report.vector import inline_svg
from tamis.run_reading import FinishedRun, read_run

_WIDE = 1.5
"""Width over height from which a figure takes the width of the page."""
_LARGE = 600
"""Width in points from which it does so too."""
_CLEAR = 2.0
"""Errors by which a correction has to lower the loss to be advised."""
REPORT = "report.html"
"""Name of the page in the run directory."""


def write_report(folder: Path | str) -> Path:
    """Write the page of a finished run into its folder.

    Args:
        folder: as `tamis train` wrote it.

    Returns:
        The file.

    Raises:
        InputError: the folder is not that of a finished run, or one of its files was damaged or changed.
    """
    run = read_run(folder)
    path = run.folder / REPORT
    write_text(path, render(report_page(run)))
    return path


def report_page(run: FinishedRun) -> Page:
    """Put the page of a run together."""
    pictures = _pictures(run)
    sections = [
        Section(anchor, title, (*blocks, *pictures.pop(anchor, ())))
        for anchor, title, blocks in _sections(run)
    ]
    further = [block for left in pictures.values() for block in left]
    sections.insert(-2, Section("further", "Further figures", tuple(further)))
    when = run.provenance["finished"][:10]
    footer = (
        f"tamis {run.provenance['packages']['tamis']}, {when}. Its numbers are those of metrics.json, events.json and "
        f"history.json.{_files(run)}"
    )
    return Page(run.config.name, _lead(run), [each for each in sections if each.blocks], footer)


def _files(run: FinishedRun) -> str:
    """Say where the figures are; nothing where there are none."""
    endings = {path.suffix for path in _figure_files(run) if path.name != BOOK}
    formats = [name for name in ("SVG", "PDF", "PNG") if f".{name.lower()}" in endings]
    if not formats:
        return ""
    *first, last = formats
    listed = f"{', '.join(first)} and {last}" if first else last
    return f" Figures lie beside this page as {listed}, in the folder figures of the run; {BOOK} holds all of them."


def _figure_files(run: FinishedRun) -> list[Path]:
    paths = (Path(name) for name in run.provenance["outputs"])
    return [path for path in paths if path.parts[0] == "figures"]


def _lead(run: FinishedRun) -> str:
    metrics, names = run.metrics, run.class_names
    parts = run.provenance["parts"]
    network = metrics["network"]
    several = network["networks"]
    what = "A network" if several == 1 else f"{several} networks"
    each = "" if several == 1 else " each"
    told = f"{', '.join(names[:-1])} and {names[-1]}"
    judged = (
        "every event is judged by networks that never saw it"
        if run.config.split.folds is not None
        else f"what follows is judged on {parts['test']:,} that no network saw"
    )
    verb, were = ("tells", "It was") if several == 1 else ("tell", "They were")
    trained = (
        f"{were} trained on {parts['training']:,} events, the epoch was chosen on {parts['validation']:,}, "
    )
    if run.config.split.folds is not None:
        trained = (
            f"{parts['training']:,} events train them and {parts['validation']:,} choose their epochs, in each network "
            "only those outside of its own fold, "
        )
    return (
        f"{what} of {network['parameters']:,} parameters{each} {verb} apart {told} by {len(run.config.features)} "
        f"features. {trained}and {judged}.{_labels(run)}"
    )


def _labels(run: FinishedRun) -> str:
    """Say what figures call the classes, where that is not their names; a formula is seen there."""
    labels = {name: section.label for name, section in run.config.classes.items()}
    other = [
        f"{name} is {label}"
        for name, label in labels.items()
        if label not in (None, name) and "$" not in label
    ]
    return f" In figures {', '.join(other)}." if other else ""


def _sections(run: FinishedRun) -> Iterator[tuple[str, str, Iterable[Block]]]:
    metrics = run.metrics
    yield "summary", "Summary", [Tiles(_tiles(run)), Findings(findings_of(run))]
    yield "explorer", "Explore a cut", _explorer(run)
    yield (
        "performance",
        "Performance",
        [
            tables.parts_table(metrics),
            tables.working_points_table(metrics),
            *([pairs_table(metrics)] if len(run.class_names) > 2 else []),
        ],
    )
    yield "baselines", "Baselines", baselines_section(metrics)
    yield "overtraining", "Overtraining", _overtraining(metrics)
    yield "calibration", "Calibration", _calibration(metrics)
    yield "search", "Search", _search(metrics, in_folds=run.config.split.folds is not None)
    yield "importance", "Importance of the features", importance_section(metrics)
    yield "sculpting", "Sculpting of spectators", _rows(tables.sculpting_table(metrics))
    yield "negative", "Negative weights", negative_section(metrics)
    yield "stability", "Stability", stability_section(metrics)
    yield "inputs", "Inputs", inputs_section(metrics)
    yield "events", "Events", [tables.ledger_table(run), tables.inputs_table(run.provenance)]
    yield "training", "Network and training", _network(run)
    yield (
        "configuration",
        "Configuration",
        [Listing("config.yaml", (run.folder / "config.yaml").read_text(encoding="utf-8"))],
    )
    yield "provenance", "Provenance", _provenance(run)


def _rows(table: Table) -> list[Block]:
    return [table] if table.rows else []


def _pictures(run: FinishedRun) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = {}
    written = _figure_files(run)
    names = sorted((path.stem for path in written if path.suffix == ".svg"), key=place_of)
    for number, name in enumerate(names):
        caption = caption_of(name)
        figure = inline_svg(run.folder / "figures" / f"{name}.svg", f"figure{number}-", caption.title)
        words = (name, caption.title, caption.sentence)
        kind = "pdf" if Path("figures", f"{name}.pdf") in written else "svg"
        picture = Picture(
            *words, figure.svg, f"figures/{name}.{kind}", wide=figure.shape > _WIDE or figure.width > _LARGE
        )
        found.setdefault(caption.section, []).append(picture)
    return found


def _tiles(run: FinishedRun) -> tuple[Tile, ...]:
    test = run.metrics["test"]
    intervals = test["intervals"]
    tiles = [
        Tile("Loss", *with_interval(test["loss"], intervals["loss"]), "test events, physics weights"),
        Tile(
            "Accuracy",
            *with_interval(test["accuracy"], intervals["accuracy"]),
            "test events, physics weights",
        ),
    ]
    for name in run.config.signal_names or run.class_names:
        value, interval = with_interval(test["auc"][name], intervals["auc"][name])
        tiles.append(Tile(f"AUC of {name}", value, interval, "against all other classes"))
    search = run.metrics["search"]
    # sums of weights are no events: without a luminosity there is nothing to discover
    if search is not None and search["bins"] is not None and search["events_per_weight"] is not None:
        bins = search["bins"]
        note = f"Asimov, {len(bins['bins'])} bins; {_assumption(run.metrics)}"
        tiles.append(
            Tile("Significance", *with_interval(bins["significance"], bins["significance_interval"]), note)
        )
    limit = run.metrics.get("limit")
    if limit is not None:
        distance = minus(f"{limit['distance_in_loss']:+z.4f}")
        tiles.append(Tile("Distance to the limit", distance, "", "in loss; 0 is the best that is possible"))
    return tuple(tiles)


def _explorer(run: FinishedRun) -> list[Block]:
    cuts = run.metrics["cuts"]
    if not cuts:
        return []
    search = run.metrics["search"]
    marks = []
    for table in cuts:
        (name, *others) = table["score_of"]
        points = [] if others else run.metrics["working_points"][name] or []
        of_table = [
            {"threshold": point["threshold"], "text": f"{100 * point['target']:g}% efficiency"}
            for point in points
            if point["threshold"] is not None
        ]
        if (
            search is not None
            and search["cut"] is not None
            and table["score_of"] == list(run.config.signal_names)
        ):
            of_table.append({"threshold": search["cut"], "text": "best significance"})
        marks.append(of_table)
    data = {
        "tables": cuts,
        "marks": marks,
        "classes": list(run.class_names),
        "colours": colours(len(run.class_names)),
        "yields": _yields(search),
    }
    return [
        Text(
            "Move the threshold: events of the test sample whose score is at least as large pass. Yields are those of "
            f"the test events of each class ({_yields(search)}), scaled to all that are used; the significance has the "
            "statistical uncertainty of the simulated backgrounds and the configured systematic ones. A cut that is "
            "chosen here is chosen on test events: do not quote its significance."
        ),
        Explorer(data),
    ]


def _overtraining(metrics: Mapping[str, Any]) -> list[Block]:
    verdict = metrics["overtraining"]["verdict"]
    return [] if verdict is None else [Text(typeset(verdict["sentence"])), tables.comparisons_table(verdict)]


def _calibration(metrics: Mapping[str, Any]) -> list[Block]:
    calibration = metrics["calibration"]
    if calibration is None:
        return []
    error = calibration["temperature_error"]
    changes = [
        with_error(calibration[f"change_with_{name}"], calibration[f"change_with_{name}_error"], signed=True)
        for name in ("temperature", "vector_scaling")
    ]
    text = _applied_calibration(metrics.get("applied_calibration")) + (
        f"The temperature that validation events fit is {with_error(calibration['temperature'], error)}; one means "
        f"that the scores are neither too bold nor too shy. It changes the balanced loss of the test events, "
        f"{calibration['loss']:.5f}, by {changes[0]}, and vector scaling by {changes[1]}. {_advice(calibration)}"
    )
    return [Text(text), tables.calibration_table(calibration)]


def _advice(calibration: Mapping[str, Any]) -> str:
    """Say whether a correction of the scores is worth its configuration."""
    gains = {
        method: (calibration[f"change_with_{name}"], calibration[f"change_with_{name}_error"])
        for method, name in (("temperature", "temperature"), ("vector", "vector_scaling"))
    }
    worth = {method: change for method, (change, error) in gains.items() if change < -_CLEAR * error}
    if not worth:
        return "No correction lowers it by more than twice its error, so none is needed."
    best = min(worth, key=lambda method: worth[method])
    return f"Where scores are used as probabilities, train with training.calibration: {best}."


def _applied_calibration(applied: Mapping[str, Any] | None) -> str:
    """Say what correction is part of the scores; nothing where there is none."""
    if applied is None:
        return ""
    scaling = applied["of_all"]
    factors = ", ".join(f"{name} {each:.4f}" for name, each in scaling["scale"].items())
    offsets = ", ".join(f"{name} {each:+z.4f}" for name, each in scaling["offset"].items())
    said = (
        f"a temperature of {1 / next(iter(scaling['scale'].values())):.4f}"
        if applied["method"] == "temperature"
        else f"vector scaling (factors of the logits: {factors}; offsets: {offsets})"
    )
    folds = sum(key.startswith("of_fold_") for key in applied)
    each = f", and one more for each of {folds} folds" if folds else ""
    return (
        f"The scores were corrected before anything was measured: the classifier has {said}, fitted on validation "
        f"events{each}. What follows says what a second correction would change. "
    )


def _chosen(*, in_folds: bool) -> str:
    """Explain on which events the cut and the bins were chosen, and on which they are quoted."""
    if not in_folds:
        return "Cut and bins were chosen on validation events and are quoted on test events."
    return (
        "Cut and bins were chosen on the validation events, with scores of networks whose epoch these events chose, "
        "and are quoted on all events, with scores of networks that never saw them. The validation events are among "
        "those: they are no independent sample, so that the significance may be slightly too high."
    )


def _search(metrics: Mapping[str, Any], *, in_folds: bool) -> list[Block]:
    search = metrics["search"]
    if search is None:
        return []
    behind, bins = search["behind_cut"], search["bins"]
    said = []
    if behind is not None:
        said.append(
            f"The best cut, signal score of at least {search['cut']:.4f}, keeps {significant(behind['signal'])} signal "
            f"and {significant(behind['background'])} background events: significance {_significance(behind)}."
        )
    if bins is not None:
        said.append(f"{len(bins['bins'])} bins of the score together reach {_significance(bins)}.")
    by_categories = {
        key: search[f"significance_of_categories{end}"]
        for key, end in (("significance", ""), ("significance_interval", "_interval"))
    }
    said.append(f"Categories of the highest score reach {_significance(by_categories)}.")
    said.append(
        f"{_chosen(in_folds=in_folds)} Intervals are those of the finite simulation. "
        f"{_sentence(_assumption(metrics))} Test events are scaled to the sum of weights of all used events of "
        "their class."
    )
    if search["events_per_weight"] is None:
        said.insert(
            0,
            "evaluation.luminosity is not given, so that all yields are sums of weights, and the significances those "
            "of an experiment that expects as many events.",
        )
    else:
        events = significant(search["events_per_weight"])
        said.append(f"A sum of weights of one stands for {events} expected events.")
    found: list[Block] = [Text(" ".join(said))]
    return [
        *found,
        *([] if bins is None else [tables.bins_table(bins, in_folds=in_folds)]),
        tables.categories_table(search),
    ]


def _yields(search: Mapping[str, Any] | None) -> str:
    """Explain what the yields are."""
    return "sum of weights" if search is None or search["events_per_weight"] is None else "expected events"


def _assumption(metrics: Mapping[str, Any]) -> str:
    """Explain which background uncertainties the significances assume."""
    search = metrics["search"]
    relative = search["requirements"]["relative"]
    backgrounds = [name for name in metrics["classes"] if name not in search["signal"]]
    numbers = dict.fromkeys(backgrounds, relative)
    if isinstance(relative, list | tuple):
        numbers = dict(zip(backgrounds, relative, strict=True))
    if not any(numbers.values()):
        return "backgrounds without systematic uncertainty, with the statistics of their simulation"
    if len(set(numbers.values())) == 1:
        uncertainty = f"{100 * next(iter(numbers.values())):g}% for each background apart"
    else:
        of_each = ", ".join(f"{name} {100 * number:g}%" for name, number in numbers.items())
        uncertainty = f"uncertainties of the backgrounds apart ({of_each})"
    return f"{uncertainty}, and the statistics of their simulation"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _significance(numbers: Mapping[str, Any]) -> str:
    return " ".join(with_interval(numbers["significance"], numbers["significance_interval"])).strip()


def _network(run: FinishedRun) -> list[Block]:
    metrics = run.metrics
    timing = metrics["timing"]
    text = (
        f"Trained on {timing['device']} in {timing['train_seconds']:.1f} s ({timing['events_per_second']:,.0f} events "
        f"per second). {epochs_sentence(run.history)}"
    )
    columns = _columns(run)
    sentence = "Features at the left, classes at the right; wide layers are drawn with a few of their nodes."
    drawing = Drawing(draw_network(columns, "the network"), sentence)
    return [Text(text), drawing, tables.layers_table(metrics)]


def _columns(run: FinishedRun) -> list[Column]:
    network = run.metrics["network"]
    features = tuple(feature.name for feature in run.config.features)
    columns = [
        Column(len(features), ("features", f"{len(features)}, {run.config.preprocessing.scaling}"), features)
    ]
    configured = run.config.network.layers or ()
    hidden = network["layers"][:-1]
    activations = (
        [layer.activation for layer in configured] if len(configured) == len(hidden) else [""] * len(hidden)
    )
    for layer, activation in zip(hidden, activations, strict=True):
        columns.append(Column(layer["outputs"], (f"{layer['kind']} {layer['outputs']}", activation)))
    last = network["layers"][-1]
    words = ("scores", "softmax" if last["outputs"] == len(run.class_names) else "sigmoid")
    return [*columns, Column(len(run.class_names), words, run.class_names, "right")]


def _provenance(run: FinishedRun) -> list[Block]:
    provenance = run.provenance
    command = f"Command: {provenance['command']}. " if provenance["command"] else ""
    text = (
        f"{command}Begun {provenance['started']}, finished {provenance['finished']}, seed "
        f"{provenance['seed']}, on {provenance['device']} ({provenance['system']})."
    )
    return [Text(text), tables.packages_table(provenance)]
