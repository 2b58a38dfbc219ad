"""Exporting a classifier: files that other programs run, each checked against the classifier itself."""

from tamis.classifier.exported_names import FILES
from tamis.export.formats import FORMATS, Exported, Format, export_classifier, export_onnx

__all__ = ["FILES", "FORMATS", "Exported", "Format", "export_classifier", "export_onnx"]
