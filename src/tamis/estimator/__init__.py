"""The scikit-learn estimator; it needs the extra `sklearn`: `pip install "tamis[sklearn]"`."""

from tamis.estimator.neural_classifier import NeuralClassifier

__all__ = ["NeuralClassifier"]
