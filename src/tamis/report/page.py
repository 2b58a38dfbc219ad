"""The page of one run: the blocks of each section, and the captions of its figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tamis import studies
from tamis.blocks import (
    Block,
    Caption,
    Diagram,
    Findings,
    Listing,
    Page,
    PageSection,
    Picture,
    Text,
    Tile,
    Tiles,
)
from tamis.config import Config, dump_config
from tamis.pipeline.inputs import plan_ensemble
from tamis.pipeline.run import Run
from tamis.plots.book import BOOK
from tamis.report import tables
from tamis.report.diagram import NodeColumn, draw_network
from tamis.report.epochs import format_epochs
from tamis.report.findings import findings_of
from tamis.report.mathtext import write_as_text
from tamis.report.vector import inline_svg
from tamis.runs.layout import CONFIG, CUTFLOW, FIGURES, HISTORY, METRICS
from tamis.studies import defined_results
from tamis.studies.study import Undefined
from tamis.wording import counted

_WIDE = 1.5
"""Width over height above which a figure is as wide as the page."""
_LARGE = 500
"""Width in points above which a figure is as wide as the page."""
_KS_PAIRED = (
    "Test: all events with out-of-fold scores. The distances and their p-values compare the two scores of the training "
    "events."
)
"""Addition to the captions of the score distributions of a cross-training."""

_HISTORY = Caption(
    "history",
    "Training curves",
    "Loss and accuracy by epoch. Training and validation loss should fall together; a validation loss that rises again "
    "is a sign of overtraining. The circle marks the epoch whose weights are used.",
)
_MEMBER = re.compile(r"(?:fold_(\d+))?(?:_?network_(\d+))?")


def report_page(run: Run) -> Page:
    """Build the page of a run."""
    pictures = _pictures(run)
    sections = [
        PageSection(anchor, title, (*blocks, *pictures.pop(anchor, ())))
        for anchor, title, blocks in _sections(run)
    ]
    further = [block for blocks in pictures.values() for block in blocks]
    sections.insert(-2, PageSection("further", "Further figures", tuple(further)))
    when = run.provenance["finished"][:10]
    footer = (
        f"tamis {run.provenance['packages']['tamis']}, {when}. Its numbers are those of {METRICS}, {CUTFLOW} and "
        f"{HISTORY}.{_files(run)}"
    )
    return Page(run.config.name, _lead(run), [section for section in sections if section.blocks], footer)


def _files(run: Run) -> str:
    """Return a sentence about the files of the figures; empty if there are none."""
    suffixes = {path.suffix for path in _figure_files(run) if path.name != BOOK}
    formats = [name for name in ("SVG", "PDF", "PNG") if f".{name.lower()}" in suffixes]
    if not formats:
        return ""
    listed = " and ".join(filter(None, (", ".join(formats[:-1]), formats[-1])))
    return f" The figures are in the folder {FIGURES} of the run, as {listed}; {BOOK} contains all of them."


def _figure_files(run: Run) -> list[Path]:
    paths = (Path(name) for name in run.provenance["outputs"])
    return [path for path in paths if path.parts[0] == FIGURES]


def _lead(run: Run) -> str:
    network, splits = run.metrics["network"], run.provenance["splits"]
    n_networks = network["networks"]
    networks = "A network" if n_networks == 1 else f"{n_networks} networks"
    verb, subject = ("classifies", "It was") if n_networks == 1 else ("classify", "They were")
    of_each = "" if n_networks == 1 else " each"
    classes = f"{', '.join(run.class_names[:-1])} or {run.class_names[-1]}"
    if plan_ensemble(run.config).is_cross_training:
        training = (
            f"{splits['training']:,} events train them and {splits['validation']:,} select their epochs, for each "
            "network only those outside of its own fold. Results use the scores of each event from networks "
            "that were trained without it."
        )
    else:
        training = (
            f"{subject} trained on {splits['training']:,} events, and {splits['validation']:,} validation events "
            f"selected the epoch. Results use {splits['test']:,} test events that no network was trained on."
        )
    return (
        f"{networks} with {network['parameters']:,} parameters{of_each} {verb} events as {classes}, using "
        f"{counted(len(run.config.features), 'feature')}. {training}{explain_labels(run.config)}"
    )


def explain_labels(config: Config) -> str:
    """Return a sentence about the labels of classes in figures, if they are not their names."""
    names = [
        f"{name} is {write_as_text(section.label)}"
        for name, section in config.classes.items()
        if section.label is not None and section.label != name
    ]
    return f" In figures, {', '.join(names)}." if names else ""


def _sections(run: Run) -> Iterator[tuple[str, str, Iterable[Block]]]:
    yield "summary", "Summary", [Tiles(_tiles(run)), Findings(findings_of(run))]
    for study in studies.STUDIES:
        match run.results[study.name]:
            case None:
                blocks: Iterable[Block] = ()
            case Undefined(reason):
                blocks = (Text(f"Not computed, because {reason}."),)
            case result:
                blocks = study.section(result)
        yield study.name, study.title, blocks
    yield "events", "Events", [tables.build_cutflow_table(run), tables.build_inputs_table(run)]
    yield "training", "Network and training", _network(run)
    yield "configuration", "Configuration", [Listing(CONFIG, dump_config(run.config))]
    yield "provenance", "Provenance", _provenance(run)


def _pictures(run: Run) -> dict[str, list[Block]]:
    pictures: dict[str, list[Block]] = {}
    files = _figure_files(run)
    names = [path.stem for path in files if path.suffix == ".svg"]
    is_cross_training = plan_ensemble(run.config).is_cross_training
    for number, name in enumerate(sorted(names, key=lambda name: place_of(name, run.class_names))):
        section, caption = caption_of(name)
        figure = inline_svg(run.folder / FIGURES / f"{name}.svg", f"figure{number}-", caption.title)
        sentence = caption.sentence
        if is_cross_training and name.startswith("score_"):
            sentence = f"{sentence} {_KS_PAIRED}"
        suffix = "pdf" if Path(FIGURES, f"{name}.pdf") in files else "svg"
        is_wide = figure.shape > _WIDE or figure.width > _LARGE
        file = f"{FIGURES}/{name}.{suffix}"
        picture = Picture(name, caption.title, sentence, figure.svg, file, wide=is_wide)
        pictures.setdefault(section, []).append(picture)
    return pictures


def _tiles(run: Run) -> tuple[Tile, ...]:
    return tuple(tile for study, result in defined_results(run.results) for tile in study.tiles(result))


def _network(run: Run) -> list[Block]:
    timing = run.metrics["timing"]
    text = (
        f"Trained on {timing['device']} in {timing['train_seconds']:.1f} s ({timing['events_per_second']:,.0f} events "
        f"per second). {format_epochs(run.history)}"
    )
    diagram = Diagram(
        draw_network(_columns(run), "the network"),
        "Features at the left, classes at the right; wide layers are drawn with a few of their nodes.",
    )
    return [Text(text), diagram, tables.build_layers_table(run)]


def _columns(run: Run) -> list[NodeColumn]:
    network = run.metrics["network"]
    features = tuple(feature.name for feature in run.config.features)
    columns = [
        NodeColumn(
            len(features), ("features", f"{len(features)}, {run.config.preprocessing.scaling}"), features
        )
    ]
    configured = run.config.network.layers or ()
    hidden = network["layers"][:-1]
    activations = (
        [layer.activation for layer in configured] if len(configured) == len(hidden) else [""] * len(hidden)
    )
    for layer, activation in zip(hidden, activations, strict=True):
        columns.append(NodeColumn(layer["outputs"], (f"{layer['kind']} {layer['outputs']}", activation)))
    last = network["layers"][-1]
    lines = ("scores", "softmax" if last["outputs"] == len(run.class_names) else "sigmoid")
    return [*columns, NodeColumn(len(run.class_names), lines, run.class_names, "right")]


def _provenance(run: Run) -> list[Block]:
    provenance = run.provenance
    command = f"Command: {provenance['command']}. " if provenance["command"] else ""
    text = (
        f"{command}Started {provenance['started']}, finished {provenance['finished']}, seed "
        f"{provenance['seed']}, on {provenance['device']} ({provenance['system']})."
    )
    return [Text(text), tables.build_packages_table(run)]


def placed_captions() -> Iterator[tuple[str, Caption]]:
    """Yield the captions of all figures, each with its section."""
    yield "training", _HISTORY
    for study in studies.STUDIES:
        for caption in study.captions:
            yield study.name, caption


def place_of(figure: str, class_names: Sequence[str] = ()) -> tuple[int, int, str]:
    """Return the sort key of a figure: by the order of the captions, then of the classes, then by name and number.

    >>> sorted(["score_a", "score_b", "roc"], key=lambda name: place_of(name, ["b", "a"]))
    ['roc', 'score_b', 'score_a']
    """
    sentences = [caption.sentence for _, caption in placed_captions()]
    sentence = caption_of(figure)[1].sentence
    # if the name of a class ends with the name of another class, both match: the longer one is right
    matching_names = [name for name in class_names if figure.endswith(f"_{name}")]
    of_class = class_names.index(max(matching_names, key=len)) if matching_names else len(class_names)
    numbered = re.sub(r"\d+", lambda match: match.group().zfill(9), figure)
    position = sentences.index(sentence) if sentence in sentences else len(sentences)
    return position, of_class, numbered


def caption_of(figure: str) -> tuple[str, Caption]:
    """Find the section and the caption of a figure by the longest matching beginning of its name.

    >>> caption_of("score_sig")[1].title, caption_of("inputs_2")[1].title, caption_of("other")[0]
    ('Score of sig', 'Features, page 2', 'further')
    >>> caption_of("history_fold_0")[1].title, caption_of("history_fold_0_network_1")[1].title
    ('Training curves: fold 0', 'Training curves: fold 0, network 1')
    """
    matches = [placed for placed in placed_captions() if figure.startswith(placed[1].figure)]
    if not matches:
        return "further", Caption(figure, figure, "")
    section, caption = max(matches, key=lambda placed: len(placed[1].figure))
    suffix = figure.removeprefix(caption.figure).removeprefix("_")
    title = caption.title.format(suffix)
    if suffix and "{}" not in caption.title:
        if member := _MEMBER.fullmatch(suffix):
            words = zip(("fold", "network"), member.groups(), strict=True)
            suffix = ", ".join(f"{word} {number}" for word, number in words if number is not None)
        title = f"{title}, page {suffix}" if suffix.isdigit() else f"{title}: {suffix}"
    return section, Caption(figure, title, caption.sentence)
