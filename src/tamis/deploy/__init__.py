"""Handing a classifier over: one file that other programs run, checked against the classifier itself."""

from tamis.deploy.onnx_file import FILES, export_onnx

__all__ = ["FILES", "export_onnx"]
