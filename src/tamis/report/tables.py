"""The tables of a run, from its metrics and its ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tamis.report.blocks import Cell, Table
from tamis.report.numbers import CHANCE, bound, cell, count, p_value, percent, short, significant
from tamis.run_reading import FinishedRun

Numbers = Mapping[str, Any]
_PARTS = ("training", "validation", "test")


def parts_table(metrics: Numbers) -> Table:
    """Loss, accuracy and areas under the curve of every part, in the physics mixture and the one that was learned."""
    names = metrics["classes"]
    rows = []
    for part in _PARTS:
        for mixture, numbers in (("physics", metrics[part]), ("balanced", metrics[part]["balanced"])):
            intervals = numbers.get("intervals") or {"loss": None, "accuracy": None, "auc": {}}
            rows.append(
                (
                    Cell(part, float(_PARTS.index(part))),
                    Cell(mixture),
                    count(sum(numbers["events"].values())),
                    cell(numbers["loss"], intervals["loss"]),
                    cell(numbers["accuracy"], intervals["accuracy"]),
                    *(cell(numbers["auc"][name], intervals["auc"].get(name)) for name in names),
                )
            )
    caption = (
        "Physics: signed physics weights. Balanced: times the training factors, the mixture that the network learned. "
        "Below the numbers stand their 68.3% intervals: those of the test events from bootstrap samples (balanced "
        "only where a class has fewer than 1000 effective events), the others to first order. They say how far the "
        "numbers would move with other events, not with another training."
    )
    columns = ("part", "mixture", "events", "loss", "accuracy", *(f"AUC {name}" for name in names))
    return Table(columns, tuple(rows), caption, numeric=2)


def working_points_table(metrics: Numbers) -> Table:
    """What each class's score keeps at the configured signal efficiencies."""
    rows = tuple(
        (
            Cell(name),
            percent(point["signal_efficiency"]),
            short(point["threshold"], 5),
            _kept(point),
            rejection_cell(point),
        )
        for name, points in metrics["working_points"].items()
        for point in points or ()
    )
    columns = ("class", "efficiency", "score at least", "of all other classes", "rejection")
    caption = (
        "Test events with their physics weights; rejection is one over the efficiency for all other classes, with its "
        "68.3% bootstrap interval. Where no background event passes, its limit with 95% confidence is given."
    )
    return Table(columns, rows, caption)


def _kept(point: Numbers) -> Cell:
    limit = point.get("background_efficiency_limit")
    if limit is not None:
        return Cell(f"{bound(100 * limit, upper=True)}%", limit)
    return percent(point["background_efficiency"], 3)


def rejection_cell(point: Numbers) -> Cell:
    """Write the rejection of a working point with its interval, or its limit where no background event passes."""
    limit, between = point.get("background_rejection_limit"), point.get("background_rejection_interval")
    if limit is not None:
        return Cell(bound(limit, upper=False), limit)
    note = ""
    if between is not None:
        low, high = between
        upper = "\N{INFINITY})" if high is None else f"{significant(high, 3)}]"
        note = f"[{significant(low, 3)}, {upper}"
    return replace(short(point["background_rejection"]), note=note)


def comparisons_table(verdict: Numbers) -> Table:
    """Every comparison of training and test."""
    rows = tuple(
        (
            Cell(_name_of(each)),
            _plain(each["training"], each),
            _plain(each["test"], each),
            cell(each["difference"], each["interval"], signed=each["quantity"] != "score"),
            p_value(each["p_value"]),
            Cell(
                p_value(each["corrected"]).text,
                each["corrected"],
                "bad" if each["corrected"] <= verdict["level"] else "good",
            ),
        )
        for each in verdict["comparisons"]
    )
    columns = ("quantity", "training", "test", "difference", "p", "p, corrected")
    caption = (
        f"{verdict['permutations']} permutations of training and test events; the corrected p-value is the probability "
        "that any of the comparisons deviates as much by chance. Of distributions the largest distance is given. "
        f"All is in the balanced mixture; differences are training minus test. {CHANCE} The corrected p-value judges."
    )
    return Table(columns, rows, caption)


def _name_of(comparison: Numbers) -> str:
    match comparison["quantity"]:
        case "score":
            return f"score of {comparison['score']}, events of {comparison['class_name']}"
        case "auc":
            return f"AUC of {comparison['class_name']}"
        case quantity:
            return str(quantity)


def _plain(value: float | None, comparison: Numbers) -> Cell:
    return replace(cell(value, comparison["interval"]), note="")


def calibration_table(calibration: Numbers) -> Table:
    """How far scores are from probabilities."""
    rows = tuple(
        (
            Cell(name),
            Cell(mixture),
            short(each["error"], 3),
            short(each["by_chance"], 3),
            p_value(each["p_value"]),
        )
        for mixture in ("balanced", "physics")
        for name, each in (calibration[mixture] or {}).items()
        if each is not None
    )
    columns = ("class", "mixture", "calibration error", "by chance", "p")
    caption = (
        "Expected calibration error: the mean distance of score and fraction over bins of equal numbers of events. By "
        "chance: its size for a calibrated classifier with as many events."
    )
    return Table(columns, rows, caption, numeric=2)


def categories_table(search: Numbers) -> Table:
    """What falls into the category of each highest score."""
    names = list(search["categories"])
    rows = tuple(
        (
            Cell(name),
            *(short(each["yields"][true]) for true in names),
            short(each["signal"]),
            short(each["background"]),
            short(each["significance"]),
        )
        for name, each in search["categories"].items()
    )
    columns = ("highest score", *names, "signal", "background", "significance")
    yields = "Sum of weights" if search["events_per_weight"] is None else "Expected events"
    return Table(columns, rows, f"{yields} of each true class by the class with the highest score.")


def bins_table(bins: Numbers, *, in_folds: bool) -> Table:
    """What each bin of the signal score holds."""
    edges = bins["edges"]
    rows = tuple(
        (
            Cell(f"{low:.4f} to {high:.4f}", low),
            short(each["signal"]),
            short(each["background"]),
            short(each["background_error"]),
            short(each["effective"]),
            short(each["significance"]),
        )
        for low, high, each in zip(edges[:-1], edges[1:], bins["bins"], strict=True)
    )
    columns = ("signal score", "signal", "background", "its error", "effective events", "significance")
    events = "all events, the validation events among them" if in_folds else "test events"
    caption = f"Edges chosen on validation events, filled with {events}; the error is that of the finite simulation."
    return Table(columns, rows, caption)


def sculpting_table(metrics: Numbers) -> Table:
    """How much the score tells of each spectator."""
    sculpting = metrics["sculpting"]
    rows = tuple(
        (
            Cell(spectator),
            Cell(name),
            short(found["dependence"]["distance_correlation"] if found["dependence"] else None, 3),
            p_value(found["dependence"]["p_value"] if found["dependence"] else None),
            *(short(shape, 3) for shape in found["shapes"]),
            Cell("sculpted" if found["warning"] else "", light="look" if found["warning"] else None),
        )
        for spectator, classes in sculpting["spectators"].items()
        for name, found in classes.items()
    )
    cuts = (f"shape behind {cut:.3f}" for cut in sculpting["cuts"])
    columns = ("spectator", "class", "distance correlation", "p", *cuts, "verdict")
    caption = (
        "Distance correlation of spectator and score: 0 is independent, 1 is a copy. Shape: Jensen-Shannon distance of "
        "the distributions before and behind each working point."
    )
    return Table(columns, rows, caption, numeric=2)


def ledger_table(run: FinishedRun) -> Table:
    """Where the entries of each sample went."""
    in_folds = bool(run.ledger["total"].get("folds"))
    parts = [part for part in _PARTS if part in run.ledger["total"] and not (in_folds and part == "test")]
    rows = tuple(
        (
            Cell(each["sample"]),
            Cell(each["class"]),
            count(each["entries"]),
            count(each["failed_selection"]["events"]),
            count(sum(tally["events"] for tally in each["dropped"].values())),
            *(count(each[part]["events"]) for part in parts),
            # with folds every used event is a test event, of the networks that never saw it
            *((count(each["used"]["events"]),) if in_folds else ()),
            short(each["used"]["sum_of_weights"]),
            short(each["used"]["effective_number"]),
            percent(each["used"]["negative_fraction"]),
        )
        for each in run.ledger["samples"]
    )
    tested = ("tested out of fold",) if in_folds else ()
    columns = (
        "sample", "class", "entries", "not selected", "dropped", *parts, *tested, "sum of weights", "effective number",
        "negative",
    )  # fmt: skip
    caption = "Each entry of the input is in exactly one column between 'not selected' and 'test'."
    if in_folds:
        caption = (
            "Each entry of the input is in exactly one column between 'not selected' and 'validation'. Every event of "
            "training and validation is also a test event, of the networks that never saw its fold."
        )
    return Table(columns, rows, caption, 2)


def layers_table(metrics: Numbers) -> Table:
    """What each layer costs."""
    layers = metrics["network"]["layers"]
    quantized = any(each["ebops"] is not None for each in layers)
    rows = tuple(
        (
            Cell(str(number), float(number)),
            Cell(each["kind"]),
            count(each["inputs"]),
            count(each["outputs"]),
            count(each["parameters"]),
            count(each["non_zeros"]),
            count(each["multiplications"]),
            *_formats(each, quantized=quantized),
        )
        for number, each in enumerate(layers, start=1)
    )
    columns = ["layer", "type", "inputs", "outputs", "parameters", "non-zero weights", "multiplications"]
    columns += ["formats", "EBOPs"] if quantized else []
    return Table(tuple(columns), rows, "The last layer gives the scores.", numeric=2)


def _formats(layer: Numbers, *, quantized: bool) -> Iterator[Cell]:
    if quantized:
        formats = layer["formats"] or {}
        yield Cell(
            ", ".join(f"{name} {each}" for name, each in formats.items() if each) or "32-bit floating point"
        )
        yield short(layer["ebops"])


def inputs_table(provenance: Numbers) -> Table:
    """The files that were read."""
    rows = tuple(
        (
            Cell(each["file"]),
            Cell(each["tree"] or ""),
            count(each["entries"]),
            count(each["bytes"]) if each["bytes"] is not None else Cell(""),
            Cell((each["sha256"] or "")[:16]),
        )
        for each in provenance["inputs"]
    )
    return Table(("file", "tree", "entries", "bytes", "SHA-256, first 16"), rows, numeric=2)


def packages_table(provenance: Numbers) -> Table:
    """The versions that ran."""
    versions = {"python": provenance["python"], **provenance["packages"]}
    rows = tuple((Cell(name), Cell(version)) for name, version in versions.items())
    return Table(("package", "version"), rows, numeric=2)
