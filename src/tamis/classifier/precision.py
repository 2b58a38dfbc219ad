"""Whether formats with 32-bit features can reproduce a classifier."""

from __future__ import annotations

from tamis.classifier.classifier import Classifier
from tamis.wording import join_first


def precision_problem(classifier: Classifier) -> str | None:
    """Return why a format with 32-bit features cannot reproduce the scores, and what to do; None if it can."""
    names = classifier.unresolved_features
    if not names:
        return None
    index = classifier.feature_names.index(names[0])
    offsets = next(
        member.preprocessing.offset for member in classifier.members if member.preprocessing.unresolved
    )
    offset = float(offsets[index]) if offsets is not None else 0.0
    text = classifier.features[index].expression
    text = text if text.isidentifier() else f"({text})"
    expression = f"{text} {'-' if offset > 0 else '+'} {abs(offset):.10g}"
    listing = join_first(map(repr, names), 5)
    return (
        f"{'feature' if len(names) == 1 else 'features'} {listing} cannot be passed as 32-bit numbers, whose rounding "
        "is as large as their spread: subtract an offset in the expression and train again, for example "
        f'{{name: {names[0]}, expression: "{expression}"}}'
    )
