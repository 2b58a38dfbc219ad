"""Refuse to write a form that takes float32 features for a classifier that needs more."""

from __future__ import annotations

from tamis.classifier import Classifier
from tamis.errors import UntranslatableError


def require_float32(classifier: Classifier, form: str) -> None:
    """Check that float32 resolves all features of a classifier.

    Args:
        classifier: to export.
        form: what the form is called, for the message.

    Raises:
        UntranslatableError: it does not; the features are named, each with the expression to write instead.
    """
    names = classifier.unresolved_features
    if not names:
        return
    remedies = "; ".join(
        f"{feature.name}: {_without_offset(feature.expression, _offset(classifier, index))}"
        for index, feature in enumerate(classifier.features)
        if feature.name in names
    )
    raise UntranslatableError(
        f"{form} takes features in 32 bits, which do not resolve {', '.join(names)}: the rounding is not small beside "
        f"what the values vary by. Subtract a constant in the expression and train again ({remedies}), or score events "
        "with tamis itself (tamis apply, Classifier.predict), which keeps 64 bits"
    )


def _offset(classifier: Classifier, index: int) -> float:
    offsets = [member.preprocessing.offset for member in classifier.members]
    return next((float(each[index]) for each in offsets if each is not None and each[index]), 0.0)


def _without_offset(expression: str, offset: float) -> str:
    """Write the expression of a feature without its offset.

    >>> _without_offset("time", 1600000000.0), _without_offset("a or b", -0.5)
    ('time - 1600000000', '(a or b) + 0.5')
    """
    plain = expression.isidentifier()
    size = f"{abs(offset):.15g}"
    return f"{expression if plain else f'({expression})'} {'-' if offset > 0 else '+'} {size}"
