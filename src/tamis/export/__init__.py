"""Exporting a classifier: files that other programs run, each checked against the classifier itself."""

from tamis.classifier.exported_names import FILES
from tamis.export.formats import FORMATS, Exported, ExportFormat, export_classifier, export_onnx

__all__ = ["FILES", "FORMATS", "ExportFormat", "Exported", "export_classifier", "export_onnx"]
