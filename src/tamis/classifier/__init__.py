"""The classifier: all that is needed to give an event its scores, in one value and one folder."""

from tamis.classifier.classifier import Classifier
from tamis.classifier.document import DOCUMENT
from tamis.classifier.member import Member

__all__ = ["DOCUMENT", "Classifier", "Member"]
