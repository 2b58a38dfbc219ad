"""What to see in each figure: its section, its title and a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Words beside a figure.

    Args:
        figure: its name, or how it begins where it ends in a dash or a name.
        section: where it stands on the page.
        title: a few words; `{}` is what follows the beginning of the name.
        sentence: what to see in it.
    """

    figure: str
    section: str
    title: str
    sentence: str


CAPTIONS = (
    Caption(
        "roc", "performance", "ROC curves",
        "For each class against all others: the higher the background rejection at a signal efficiency, the better. "
        "Where the limit or a reference is known, it is dashed; steps at the left end are single events.",
    ),
    Caption(
        "roc_baselines", "baselines", "ROC curves of the signal score",
        "The network (solid) beside classifiers of other kinds on the same test events: where the solid line is not "
        "above the others, the network is not needed. A dashed line is the best that is possible, or a reference.",
    ),
    Caption(
        "one_versus_one", "performance", "ROC, class against class",
        "How well each pair of classes is told apart by the ratio of their two scores: a low value shows which two "
        "processes are confused.",
    ),
    Caption(
        "one_versus_one_", "performance", "ROC of {} against each other class",
        "The signal against one background at a time, by the ratio of their two scores: the lowest curve is the "
        "background that is hardest to reject.",
    ),
    Caption(
        "confusion", "performance", "Confusion matrix",
        "Each row is a true class, normalised to one: the diagonal holds the events whose highest score is that of "
        "their own class, everything else is confused.",
    ),
    Caption(
        "score_", "performance", "Score of {}",
        "Filled or stepped lines are training events, points are test events. They should lie on each other; "
        "points that leave the line of their class say that training and test differ, for instance by overtraining.",
    ),
    Caption(
        "verdict", "overtraining", "Training against test",
        "Each comparison with its interval: overtraining moves the points to the side where training is better.",
    ),
    Caption(
        "calibration", "calibration", "Reliability",
        "Among events with a score of 0.7 for a class, 70% should be of this class: points on the diagonal are "
        "probabilities; below it the score is too large, above it too small.",
    ),
    Caption(
        "significance", "search", "Significance behind a cut",
        "Expected significance and yields of test events while the cut on the signal score moves; the line marks the "
        "cut that validation events chose.",
    ),
    Caption(
        "binning", "search", "Bins of the signal score",
        "What each bin holds, and its significance alone. The uncertainty of a background is constrained by all bins "
        "together.",
    ),
    Caption(
        "importance", "importance", "Importance of the features",
        "By how much the loss grows when the values of a feature are exchanged between events: the longer the bar, the "
        "more the network relies on it. Correlated features are exchanged together.",
    ),
    Caption(
        "sculpting", "sculpting", "Spectators behind cuts",
        "A distribution that changes its shape behind the cuts is sculpted by the score: background would imitate a "
        "signal in it.",
    ),
    Caption(
        "inputs", "inputs", "Features",
        "Distributions of the inputs by class, of unit area: where the classes differ, the network has something to "
        "learn; training and test must agree.",
    ),
    Caption(
        "correlations", "inputs", "Correlations",
        "Linear correlations of the inputs by class: what differs between classes is information that no single "
        "distribution shows.",
    ),
    Caption(
        "correlations_difference", "inputs", "Correlations, signal minus background",
        "All classes of a side are pooled with their weights, so that different means of its classes count as well. "
        "Numbers stand where the difference is larger than two errors.",
    ),
    Caption(
        "history", "training", "Training curves",
        "Loss and accuracy by epoch: training and validation should fall together; a validation loss that rises again "
        "is overtraining. The mark is the epoch whose weights are kept.",
    ),
    Caption(
        "stability", "stability", "Members",
        "Each network alone beside the average of all: a large spread means that chance decides.",
    ),
)  # fmt: skip


_MEMBER = re.compile(r"(?:fold_(\d+))?(?:_?network_(\d+))?")


def place_of(figure: str) -> tuple[int, str]:
    """Say where a figure stands: in the order of the captions, then by name and number."""
    sentences = [each.sentence for each in CAPTIONS]
    sentence = caption_of(figure).sentence
    numbered = re.sub(r"\d+", lambda found: found.group().zfill(9), figure)
    return (sentences.index(sentence) if sentence in sentences else len(sentences)), numbered


def caption_of(figure: str) -> Caption:
    """Find the words for a figure; the longest beginning of its name counts.

    >>> caption_of("score_sig").title, caption_of("inputs_2").title, caption_of("other").section
    ('Score of sig', 'Features, page 2', 'further')
    >>> caption_of("history_fold_0").title, caption_of("history_fold_0_network_1").title
    ('Training curves: fold 0', 'Training curves: fold 0, network 1')
    """
    fitting = [each for each in CAPTIONS if figure.startswith(each.figure)]
    if not fitting:
        return Caption(figure, "further", figure, "")
    found = max(fitting, key=lambda each: len(each.figure))
    rest = figure.removeprefix(found.figure).removeprefix("_")
    title = found.title.format(rest)
    if rest and "{}" not in found.title:
        title = f"{title}, page {rest}" if rest.isdigit() else f"{title}: {_words(rest)}"
    return Caption(figure, found.section, title, found.sentence)


def _words(rest: str) -> str:
    """Write fold and number of a network out, as the figures do."""
    found = _MEMBER.fullmatch(rest)
    if found is None:
        return rest
    words = zip(("fold", "network"), found.groups(), strict=True)
    return ", ".join(f"{word} {number}" for word, number in words if number is not None)
