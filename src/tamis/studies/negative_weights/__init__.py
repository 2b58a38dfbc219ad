"""How much precision do negative weights cost, and which numbers would change without them?

The study counts the negative weights of each class, and computes each quoted number again without the events that have
negative weights.
"""

from __future__ import annotations

from collections.abc import Iterator

from tamis.blocks import Block, Cell, Finding, Light, Table, Text
from tamis.blocks.numbers import count, percent, short, typeset, with_error
from tamis.studies.negative_weights.result import (
    ChangedNumber,
    NegativeWeightsResult,
    compute_negative_weights,
)
from tamis.studies.study import Study, import_keys
from tamis.wording import counted

MANY = 0.2
"""Fraction of negative weights in a sample from which the finding is a warning."""


def section(result: NegativeWeightsResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    yield Text(typeset(result.sentence))
    yield _shares(result)
    yield _changes(result)


def _shares(result: NegativeWeightsResult) -> Table:
    rows = tuple(
        (
            Cell(name),
            count(share.events),
            percent(share.fraction),
            percent(share.share),
            short(share.effective_sample_size),
            short(share.effective_sample_size_without),
        )
        for name, share in result.classes.items()
    )
    columns = (
        "class", "events", "fraction of events", "fraction of absolute weight", "effective sample size",
        "of positive weights alone",
    )  # fmt: skip
    return Table(columns, rows, "Test events with negative weights.")


def _changes(result: NegativeWeightsResult) -> Table:
    rows = tuple(
        (
            Cell(_name(number)),
            short(number.quoted),
            short(number.without_negative_weights),
            *format_change_and_error(number.change, number.error),
        )
        for number in result.changes
    )
    caption = (
        "Changes if the events with negative weights were dropped and each class kept its sum of weights, with the "
        "same cut and the same bins."
    )
    return Table(("quantity", "quoted", "without them", "change", "error of the change"), rows, caption)


def _name(number: ChangedNumber) -> str:
    quantity = number.quantity.replace("_", " ").replace("auc", "AUC")
    of = "" if number.name is None else f" of {number.name}"
    at = "" if number.target is None else f" at {100 * number.target:g}%"
    return f"{quantity}{of}{at}"


def format_change_and_error(change: float, error: float | None) -> tuple[Cell, Cell]:
    """Return cells of a change and of its error with the same digits."""
    if not error:
        return short(change, 3), short(error, 2)
    text, _, size = with_error(change, error, signed=True).partition(" \N{PLUS-MINUS SIGN} ")
    return Cell(text, change), Cell(size, error)


def findings(result: NegativeWeightsResult) -> Iterator[Finding]:
    """Return the samples with negative weights, and their effect."""
    name = max(result.samples, key=lambda sample: result.samples[sample])
    light: Light = "look" if result.samples[name] > MANY else "info"
    verb = "has" if len(result.samples) == 1 else "have"
    yield Finding(
        light,
        "Negative weights",
        f"{counted(len(result.samples), 'sample')} {verb} events with negative weights, {name} the most "
        f"({100 * result.samples[name]:.1f}%). Results use the signed weights; uncertainties are larger than the "
        f"number of events suggests. {typeset(result.sentence)}",
    )


NEGATIVE_WEIGHTS = Study(
    name="negative_weights",
    title="Negative weights",
    result=NegativeWeightsResult,
    compute=compute_negative_weights,
    keys=import_keys(f"{__name__}.keys"),
    section=section,
    findings=findings,
    summary=lambda result: (result.sentence,),
)
