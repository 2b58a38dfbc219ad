"""The classifier: everything that is needed to score events, in one value and one folder."""

from tamis.classifier.classifier import Classifier
from tamis.classifier.document import DOCUMENT
from tamis.classifier.member import Member

__all__ = ["DOCUMENT", "Classifier", "Member"]
