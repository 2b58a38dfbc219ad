"""The features before a training, and notes on suspicious ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tamis.check.result import FeatureRow, Note
from tamis.config import Config
from tamis.data.duplicates import EqualEvents
from tamis.data.events import Events, SampleReading
from tamis.data.survey import find_identified_class, survey_columns
from tamis.wording import format_value

CERTAIN = 0.999
"""Fraction of events that a feature must classify correctly, as one class or another, to be suspicious."""
_REMEDIES = {
    "sentinel": "if this stands for a missing value, declare it with `missing: {value}`",
    "spike": "if this stands for a missing value, declare it with `missing: {value}`",
    "class": "make sure that it is known in data as well",
    "constant": "it is useless as a feature",
    "empty": "it is useless as a feature",
}


def build_feature_rows(
    config: Config, events: Events, readings: Sequence[SampleReading]
) -> tuple[FeatureRow, ...]:
    """Count the missing values of every feature, and compute its range."""
    rows = []
    for index, feature in enumerate(config.features):
        values = events.features[:, index]
        missing = np.isnan(values)
        present = values[~missing]
        counts = np.bincount(events.class_index[missing], minlength=len(config.class_names))
        of_readings = [
            reading.missing[feature.name] for reading in readings if feature.name in reading.missing
        ]
        rows.append(
            FeatureRow(
                name=feature.name,
                missing=int(missing.sum()),
                infinite=sum(numbers.infinite for numbers in of_readings),
                by_class=dict(zip(config.class_names, counts.tolist(), strict=True)),
                lowest=float(present.min()) if len(present) else None,
                highest=float(present.max()) if len(present) else None,
            )
        )
    return tuple(rows)


def collect_feature_notes(config: Config, events: Events, rows: Sequence[FeatureRow]) -> list[Note]:
    """Return notes on missing values and on suspicious features."""
    declared = {feature.name: feature.missing for feature in config.features}
    notes = []
    for row in rows:
        if row.missing and declared[row.name] is not None:
            infinite = f", of which {row.infinite:,} are infinite" if row.infinite else ""
            most, number = max(row.by_class.items(), key=lambda entry: entry[1])
            message = f"is missing in {row.missing:,} of {len(events):,} events{infinite} (most in {most}: {number:,})"
            notes.append(Note("missing", f"feature {row.name}", message))
    return notes + (_suspicions(config, events) if len(events) else [])


def _suspicions(config: Config, events: Events) -> list[Note]:
    columns = dict(zip((feature.name for feature in config.features), events.features.T, strict=True))
    suspicions = survey_columns(columns, events.class_index, config.class_names, names=False)
    notes = [
        Note(
            suspicion.kind,
            f"feature {suspicion.column}",
            f"{suspicion.reason}; {_REMEDIES[suspicion.kind].format(value=format_value(suspicion.value or 0.0))}",
            suspicion.value,
        )
        for suspicion in suspicions
    ]
    identified = {note.where for note in notes if note.kind == "class"}
    if len(np.unique(events.class_index)) > 2:
        single = (_single(config, events, name, index) for index, name in enumerate(columns))
        notes += [note for note in single if note is not None and note.where not in identified]
    return notes


def _single(config: Config, events: Events, name: str, index: int) -> Note | None:
    """Return a note if a feature identifies one of several classes."""
    values = events.features[:, index].astype(np.float64)
    index_of_class, share = find_identified_class(values, events.class_index, len(config.class_names))
    if share < CERTAIN:
        return None
    message = (
        f"nearly identifies class {config.class_names[index_of_class]}: it alone separates {100 * share:.1f}% of the "
        f"events correctly from the other classes; {_REMEDIES['class']}"
    )
    return Note("class", f"feature {name}", message)


def collect_duplicate_notes(events: Events, equal: EqualEvents) -> list[Note]:
    """Return a note if the input seems to contain the same events twice."""
    if not equal.suspicious or equal.example is None:
        return []
    first, second = (
        f"entry {events.entry[row]} of {events.files[events.file_index[row]]} (sample "
        f"{events.samples[events.sample_index[row]]})"
        for row in equal.example
    )
    counts = {
        "in the same file": equal.within_files,
        "in another file of their class": equal.between_files,
        "in another class": equal.between_classes,
    }
    where = ", ".join(f"{count:,} {position}" for position, count in counts.items() if count)
    message = (
        f"{equal.count:,} events equal another one in all features and spectators ({where}), but only about "
        f"{equal.expected:.2g} are expected by chance: the same events may be in training and test. The first are "
        f"{first} and {second}"
    )
    return [Note("duplicates", "", message)]
