"""Handing a classifier over: one file that other programs run, checked against the classifier itself."""

from tamis.deploy.forms import FORMS, Exported, Form, export_classifier
from tamis.deploy.names import FILES
from tamis.deploy.onnx_file import export_onnx

__all__ = ["FILES", "FORMS", "Exported", "Form", "export_classifier", "export_onnx"]
