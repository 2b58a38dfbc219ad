"""The sections of a report about importance, inputs, negative weights, stability and pairs of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tamis.report.blocks import Block, Cell, Table, Text
from tamis.report.numbers import (
    cell,
    count,
    minus,
    p_value,
    percent,
    short,
    typeset,
    with_error,
    with_interval,
)

Numbers = Mapping[str, Any]


def importance_section(metrics: Numbers) -> list[Block]:
    """What each feature is worth: exchanged, by its derivative, and left out."""
    importance = metrics["importance"]
    if not importance:
        return []
    names = metrics["classes"]
    trained_again = any(each["left_out"] is not None for each in importance)
    rows = tuple(
        (
            Cell(", ".join(each["features"])),
            cell(each["loss"], each["loss_interval"], signed=True),
            cell(each["gradient"], each["gradient_interval"]),
            *([_left_out(each["left_out"])] if trained_again else []),
            *(cell(each["auc"][name], each["auc_interval"][name], signed=True) for name in names),
        )
        for each in importance
    )
    columns = (
        "features",
        "loss grows by",
        "reaction of the scores",
        *(["loss without it"] if trained_again else []),
        *(f"AUC {name} falls by" for name in names),
    )
    caption = (
        "On test events in the balanced mixture, with 68.3% intervals. Loss and AUC: when the values are "
        "exchanged between events. Reaction: by how much the scores move when the feature moves by its spread."
    )
    found: list[Block] = [Table(columns, rows, caption)]
    retrained = metrics.get("retrained")
    if trained_again and retrained is not None:
        value, between = with_interval(retrained["loss"], retrained["loss_interval"], signed=True)
        text = (
            "Loss without it: the growth of the loss when the network is trained again without the features. A "
            f"training with all features and another seed changes the loss by {value} {between}: "
            "a smaller effect is chance."
        )
        found.append(Text(text))
    return found


def _left_out(found: Numbers | None) -> Cell:
    return cell(None) if found is None else cell(found["loss"], found["loss_interval"], signed=True)


def pairs_table(metrics: Numbers) -> Table:
    """How well each class is told from each other one."""
    pairs = metrics["test"]["one_versus_one"]
    names = metrics["classes"]
    rows = tuple(
        (
            Cell(name),
            *(
                Cell("") if other == name else cell(pairs[name][other]["auc"], pairs[name][other]["interval"])
                for other in names
            ),
        )
        for name in names
    )
    caption = "Area under the curve of the ratio of the two scores, events of two classes alone, with 68.3% intervals."
    return Table(("class against", *names), rows, caption)


def inputs_section(metrics: Numbers) -> list[Block]:
    """What was found of the features."""
    inputs = metrics.get("inputs")
    if not inputs:
        return []
    incomplete = any(found["missing"] for found in inputs["by_feature"].values())
    names = metrics["classes"] if incomplete else []
    rows = tuple(_feature_row(name, found, names) for name, found in inputs["by_feature"].items())
    columns = (
        "feature", *(f"missing in {name}" for name in names), "balanced accuracy alone", "test events outside",
        "expected", "p",
        "training against test",
    )  # fmt: skip
    caption = (
        "Balanced accuracy alone: the mean over the classes of the fraction that this feature alone assigns rightly, "
        "every event counting one; near one it gives the class away. Outside: test events "
        "beyond the range of the training events, with the number that chance explains. Training against test: the "
        "smallest p-value of the classes. p-values are corrected for the number of features, and of classes."
    )
    found: list[Block] = [Table(columns, rows, caption)]
    if inputs["largest_differences"]:
        found.append(_differences(inputs["largest_differences"]))
    return found


def _feature_row(name: str, found: Numbers, class_names: list[str]) -> tuple[Cell, ...]:
    outside = found["outside"]
    corrected = found["corrected_p_values"]
    beyond = (cell(None),) * 3
    if outside is not None:
        beyond = (count(outside["events"]), short(outside["expected"], 3), p_value(corrected["outside"]))
    return (
        Cell(name, light="bad" if found["identifies_class"] else None),
        *(percent(found["missing"].get(each, {"fraction": 0.0})["fraction"], 2) for each in class_names),
        short(found["balanced_accuracy"], 3),
        *beyond,
        p_value(corrected["training_against_test"]),
    )


def _differences(differences: list[Numbers]) -> Table:
    rows = tuple(
        (
            Cell(" and ".join(each["features"])),
            Cell(" minus ".join(each["classes"])),
            Cell(
                minus(f"{each['difference']:+z.3f} \N{PLUS-MINUS SIGN} {each['error']:.3f}"),
                each["difference"],
            ),
        )
        for each in differences
    )
    caption = (
        "Pairs of features whose linear correlation differs most between two classes, in the training events."
    )
    return Table(("features", "classes", "difference"), rows, caption, numeric=2)


def negative_section(metrics: Numbers) -> list[Block]:
    """What negative weights cost, and what would change without them."""
    found = metrics.get("negative_weights")
    if not found:
        return []
    shares = tuple(
        (
            Cell(name),
            count(each["events"]),
            percent(each["fraction"]),
            percent(each["share"]),
            short(each["effective"]),
            short(each["effective_without"]),
        )
        for name, each in found["classes"].items()
    )
    changes = tuple(
        (
            Cell(_name_of_change(each)),
            short(each["quoted"]),
            short(each["without"]),
            *_change_and_error(each["change"], each["error"]),
        )
        for each in found["changes"]
    )
    columns = (
        "class",
        "events",
        "of its events",
        "of its absolute weight",
        "effective number",
        "of the others alone",
    )
    caption = "If the events with negative weights were dropped, and each class kept its sum of weights."
    return [
        Text(typeset(found["sentence"])),
        Table(columns, shares, "Test events with negative weights."),
        Table(("quantity", "quoted", "without them", "change", "its error"), changes, caption),
    ]


def _name_of_change(change: Numbers) -> str:
    quantity = str(change["quantity"]).replace("_", " ").replace("auc", "AUC")
    of = "" if change["of"] is None else f" of {change['of']}"
    at = "" if change["target"] is None else f" at {100 * change['target']:g}%"
    return f"{quantity}{of}{at}"


def _change_and_error(change: float | None, error: float | None) -> tuple[Cell, Cell]:
    """Write a change and its error with the same digits, each in a cell."""
    if change is None or not error:
        return short(change, 3), short(error, 2)
    text, _, size = with_error(change, error, signed=True).partition(" \N{PLUS-MINUS SIGN} ")
    return Cell(text, change), Cell(size, error)


def _gain(spread: Numbers) -> Cell:
    if spread["gain"] is None:
        return cell(None)
    return Cell(with_error(spread["gain"], spread["gain_error"], signed=True), spread["gain"])


def stability_section(metrics: Numbers) -> list[Block]:
    """How far the networks of a classifier differ."""
    found = metrics.get("stability")
    if not found:
        return []
    rows = tuple(
        (
            Cell(each["quantity"] if each["class_name"] is None else f"AUC of {each['class_name']}"),
            short(each["mean"], 5),
            short(each["lowest"], 5),
            short(each["highest"], 5),
            short(each["between_seeds"], 2),
            short(each["between_folds"], 2),
            short(each["expected"], 2),
            p_value(each["p_value"]),
            _gain(each),
        )
        for each in found["spreads"]
    )
    columns = (
        "quantity", "mean", "lowest", "highest", "between seeds", "between folds", "expected", "p",
        "gain of the average",
    )  # fmt: skip
    caption = (
        "Each network alone, on events that it never saw. Between: standard deviations of networks of the same fold, "
        "and of the folds. Expected: the one between folds that their different events explain."
    )
    return [Text(typeset(found["sentence"])), Table(columns, rows, caption)]
