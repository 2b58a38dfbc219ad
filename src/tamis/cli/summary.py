"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tamis.data.ledger import Ledger
from tamis.data.split import PARTS, TEST
from tamis.evaluation.baselines import BaselineResult
from tamis.evaluation.metrics import worse_than_guessing
from tamis.evaluation.results import Evaluation
from tamis.evaluation.roc import WorkingPoint
from tamis.pipeline.run import Run
from tamis.report.numbers import bound


def results_console() -> Console:
    """Give the standard output; wide enough for tables where it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=110)


def plain_table(title: str, columns: Sequence[str]) -> Table:
    """Give a table without rows: the first column is text, the others are numbers."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for number, column in enumerate(columns):
        # what is too long goes on in the next line: the end of a path says which file it is
        table.add_column(escape(column), justify="left" if number == 0 else "right", overflow="fold")
    return table


def print_run(run: Run, folder: Path, seconds: float, notes: Sequence[str] = ()) -> None:
    """Print what was trained on what, the headline numbers, where the rest is, and what else there is to know."""
    console = results_console()
    history, timing = run.trained.history, run.timing
    kept = f"kept epoch {history.best} of {len(history.epochs)}: {history.reason}"
    if len(run.members) > 1:
        epochs = ", ".join(f"{each.history.best}/{len(each.history.epochs)}" for each in run.members)
        kept = f"{len(run.members)} networks, which kept the epochs {epochs}"
    console.print(ledger_table(run.prepared.ledger, run.config.class_names))
    for sentence in (*run.prepared.duplicates, *flattening(run), *overflow(run)):
        console.print(f"note: {escape(sentence)}", soft_wrap=True)
    console.print()
    console.print(metrics_table(run.evaluation))
    console.print()
    console.print(class_table(run.evaluation, run.config.evaluation.working_points))
    for sentence in (*verdicts(run.evaluation), *map(baseline_sentence, run.baselines)):
        console.print(sentence, soft_wrap=True)
    console.print(
        f"Trained on {timing['device']} in {timing['train_seconds']:.1f} s ({timing['events_per_second']:,.0f} "
        f"events/s); {kept}.",
        soft_wrap=True,
    )
    for sentence in notes:
        console.print(f"note: {escape(sentence)}", soft_wrap=True)
    console.print(f"Wrote {escape(str(folder))} ({seconds:.0f} s in all).", soft_wrap=True)


def overflow(run: Run) -> list[str]:
    """Warn of inputs that the fixed-point format of the first layer cannot hold."""
    return [
        f"{name}: {100 * part:.2g}% of the training events are outside the range of the quantized layer's input; "
        "give it more integer bits (network.layers[0].input.integer)."
        for name, part in run.overflow.items()
    ]


def flattening(run: Run) -> list[str]:
    """Say what flattening costs, in effective numbers of training events."""
    flatten = run.config.weights.flatten
    if flatten is None:
        return []
    named = " and ".join(flatten.spectators)
    sentences = []
    for name, each in run.prepared.weighed.flattened.items():
        lost = f"; it has no events in {100 * each.empty:.0f}% of the bins" if each.empty else ""
        sentences.append(
            f"{name} is flattened in {named}: {each.after:,.0f} of {each.before:,.0f} effective training events are "
            f"left{lost}."
        )
    return sentences


def ledger_table(ledger: Ledger, classes: Sequence[str]) -> Table:
    """Show where the entries of each class went."""
    numbers = ledger.to_dict(classes)
    # with folds every used event is a test event, of the networks that never saw it
    in_folds = bool(numbers["total"].get("folds"))
    parts = {part: part for part in PARTS}
    if in_folds:
        parts[PARTS[TEST]] = "used"
    titles = [*PARTS[:TEST], "tested out of fold" if in_folds else PARTS[TEST]]
    table = plain_table(
        "Events", ["class", "entries", "not selected", "dropped", *titles, "sum of weights", "negative"]
    )
    for name, row in (*numbers["classes"].items(), ("total", numbers["total"])):
        dropped = sum(policy["events"] for policy in row["dropped"].values())
        counts = (
            row["entries"],
            row["failed_selection"]["events"],
            dropped,
            *(row[part]["events"] for part in parts.values()),
        )
        used = row["used"]
        weights = (f"{used['sum_of_weights']:,.6g}", f"{100 * used['negative_fraction']:z.1f}%")
        table.add_row(escape(name), *(f"{count:,}" for count in counts), *weights)
    return table


def metrics_table(evaluation: Evaluation) -> Table:
    """Show loss and accuracy of each part."""
    table = plain_table("Results", ["part", "loss", "accuracy", "balanced loss", "balanced accuracy"])
    for part, metrics in evaluation.parts.items():
        values = (
            metrics.physics.loss, metrics.physics.accuracy, metrics.balanced.loss, metrics.balanced.accuracy,
        )  # fmt: skip
        table.add_row(part, *(f"{value:.4f}" for value in values))
    if evaluation.limit is not None:
        limit = evaluation.limit.limit
        table.add_row("limit (test)", "", "", f"{limit.loss:.4f}", f"{limit.accuracy:.4f}")
    return table


def class_table(evaluation: Evaluation, working_points: Sequence[float]) -> Table:
    """Show, for each class against the others, the area under the curve and the background rejections."""
    points = [f"1/background at {point:g}" for point in working_points]
    table = plain_table("Each class against the others, on test events", ["class", "AUC", *points])
    for name, curve, found in zip(
        evaluation.class_names, evaluation.curves, evaluation.working_points, strict=True
    ):
        if curve is None or found is None:
            table.add_row(
                escape(name), "undefined: the weights of the class or of the rest do not sum to > 0"
            )
            continue
        table.add_row(escape(name), f"{curve.auc:.4f}", *(_rejection(point) for point in found))
    return table


def _rejection(point: WorkingPoint) -> str:
    """Write a rejection, or its limit with 95% confidence where no background event passes."""
    if point.background_rejection is not None:
        return f"{point.background_rejection:,.4g}"
    limit = point.background_rejection_limit
    return "no background" if limit is None else bound(limit, upper=False)


def verdicts(evaluation: Evaluation) -> list[str]:
    """Say in sentences how far the limit is, whether training and test events look alike, and what to look at."""
    sentences = []
    if said := worse_than_guessing(evaluation.parts["test"].balanced.loss, len(evaluation.class_names)):
        sentences.append(said)
    if evaluation.limit is not None:
        auc = max((each for each in evaluation.limit.auc if each is not None), default=0.0)
        sentences.append(
            f"Distance to the limit: {evaluation.limit.loss:+z.4f} in loss, {auc:+z.4f} in AUC (largest of the "
            "classes)."
        )
    for name, found in evaluation.references.items():
        sentences.append(
            f"Reference for {escape(name)}: AUC {found.reference.auc:.4f}, {found.auc:+z.4f} against the network."
        )
    judged = (evaluation.verdict, evaluation.stability, evaluation.negative_weights)
    sentences += [escape(each.sentence) for each in judged if each is not None]
    sentences += [] if evaluation.inputs is None else [escape(each) for each in evaluation.inputs.warnings]
    return sentences


def baseline_sentence(result: BaselineResult) -> str:
    """Say what a baseline reaches, and by how much the network differs from it."""
    area = result.signal.auc
    reached = [f"AUC {area.value:.4f} for the signal"]
    differs = [f"{_with_interval(area.difference, area.difference_interval)} in AUC"]
    if result.balanced is not None:
        loss = result.balanced.loss
        reached.append(f"balanced loss {loss.value:.4f}")
        differs.append(f"{_with_interval(loss.difference, loss.difference_interval)} in loss")
    sentence = (
        f"Baseline {result.name}: {', '.join(reached)}; the network differs by {' and '.join(differs)}."
    )
    return f"{sentence} Note: {'; '.join(result.notes)}." if result.notes else sentence


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    return (
        f"{value:+z.4f}" if interval is None else f"{value:+z.4f} [{interval[0]:+z.4f}, {interval[1]:+z.4f}]"
    )
