"""Names of the exported files, in the folder `model`."""

NAMED, PACKED, PREPROCESS = "classifier.onnx", "classifier_packed.onnx", "preprocess.json"
FILES = (NAMED, PACKED, PREPROCESS)
"""The files of the ONNX export."""
PLAIN, LWTNN, HEADER = "classifier_plain.json", "classifier_lwtnn.json", "classifier.hpp"
DERIVED = (*FILES, PLAIN, LWTNN, HEADER)
"""Files that can be written again from the classifier."""
