"""What the features look like before a training, and what a person should look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tamis.check.result import FeatureRow, Note
from tamis.config import Config
from tamis.data.duplicates import EqualEvents, equal_events
from tamis.data.events import Events, SampleReading
from tamis.data.survey import identified_class, survey_columns
from tamis.wording import value as value_text

CERTAIN = 0.999
"""How well one feature must tell one class from all others to be suspicious, where there are more than two."""
_REMEDIES = {
    "sentinel": "if that means 'not there', declare it with `missing: {value}`",
    "spike": "if that means 'not there', declare it with `missing: {value}`",
    "class": "make sure that it is known in data as well",
    "constant": "it tells the network nothing",
    "empty": "it tells the network nothing",
}


def feature_rows(config: Config, events: Events, readings: Sequence[SampleReading]) -> tuple[FeatureRow, ...]:
    """Count the missing values of every feature, and give its range."""
    infinite = {
        feature.name: sum(
            each.infinite for reading in readings for each in reading.missing if each.feature == feature.name
        )
        for feature in config.features
    }
    rows = []
    for index, feature in enumerate(config.features):
        values = events.features[:, index]
        missing = np.isnan(values)
        there = values[~missing]
        counts = np.bincount(events.class_index[missing], minlength=len(config.class_names))
        rows.append(
            FeatureRow(
                name=feature.name,
                missing=int(missing.sum()),
                infinite=infinite[feature.name],
                by_class=dict(zip(config.class_names, counts.tolist(), strict=True)),
                lowest=float(there.min()) if len(there) else None,
                highest=float(there.max()) if len(there) else None,
            )
        )
    return tuple(rows)


def feature_notes(config: Config, events: Events, rows: Sequence[FeatureRow]) -> list[Note]:
    """Say what is missing, and which features look wrong."""
    declared = {feature.name: feature.missing for feature in config.features}
    notes = [_missing(row, len(events)) for row in rows if row.missing and declared[row.name] is not None]
    return notes + (_suspicions(config, events) if len(events) else [])


def _missing(row: FeatureRow, events: int) -> Note:
    infinite = f", of which {row.infinite:,} are infinite" if row.infinite else ""
    most = max(row.by_class, key=lambda name: row.by_class[name])
    message = (
        f"is missing in {row.missing:,} of {events:,} events{infinite} (most in {most}: "
        f"{row.by_class[most]:,})"
    )
    return Note("missing", f"feature {row.name}", message)


def _suspicions(config: Config, events: Events) -> list[Note]:
    columns = {feature.name: events.features[:, index] for index, feature in enumerate(config.features)}
    found = survey_columns(columns, events.class_index, config.class_names, names=False)
    notes = [
        Note(
            each.kind,
            f"feature {each.column}",
            f"{each.reason}; {_REMEDIES[each.kind].format(value=value_text(each.value or 0.0))}",
            each.value,
        )
        for each in found
    ]
    told = {note.where for note in notes if note.kind == "class"}
    if len(np.unique(events.class_index)) > 2:
        single = (_single(config, events, name, index) for index, name in enumerate(columns))
        notes += [note for note in single if note is not None and note.where not in told]
    return notes


def _single(config: Config, events: Events, name: str, index: int) -> Note | None:
    """Say where a feature tells one of several classes from all others."""
    values = events.features[:, index].astype(np.float64)
    found, share = identified_class(values, events.class_index, len(config.class_names))
    if share < CERTAIN:
        return None
    message = (
        f"nearly identifies class {config.class_names[found]}: alone it tells {100 * share:.1f}% of the events rightly "
        f"from the others; {_REMEDIES['class']}"
    )
    return Note("class", f"feature {name}", message)


def find_equal(events: Events) -> EqualEvents:
    """Look for events that agree in all features and spectators."""
    columns = [events.features[:, index] for index in range(events.features.shape[1])]
    return equal_events([*columns, *events.spectators.values()], events.class_index, events.file_index)


def equal_notes(events: Events, equal: EqualEvents) -> list[Note]:
    """Say where the same events seem to be in the input twice."""
    if not equal.suspicious or equal.example is None:
        return []
    first, second = (
        f"entry {events.entry[row]} of {events.files[events.file_index[row]]} (sample "
        f"{events.samples[events.sample_index[row]]})"
        for row in equal.example
    )
    counts = (
        ("in the same file", equal.within_files),
        ("in another file of their class", equal.between_files),
        ("in another class", equal.between_classes),
    )
    where = ", ".join(f"{count:,} {place}" for place, count in counts if count)
    message = (
        f"{equal.count:,} events equal another one in all features and spectators ({where}), where chance gives about "
        f"{equal.expected:.2g}: the same events may be in training and in test. The first are {first} and {second}"
    )
    return [Note("duplicates", "", message)]
