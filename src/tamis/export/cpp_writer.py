"""Write a classifier as one header of C++17 without dependencies, compile it and run it."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float32
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError
from tamis.export.cpp_text import (
    build_identifiers,
    declare_table,
    double,
    literal,
    render_template,
    single,
)
from tamis.export.lower import ClassifierGraph
from tamis.export.plain import Document
from tamis.files import hash_json
from tamis.network.primitives import Graph, Kind, Node

COMPILER = "g++"
# warnings are errors, because users compile the header with their own flags
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror")

_NAMESPACE = "tamis_classifier"
_TYPES: Mapping[Kind, str] = {"float32": "float", "float64": "double", "bool": "bool", "index": "std::size_t"}
_EXPRESSIONS: Mapping[str, str] = {
    "add": "({} + {})", "subtract": "({} - {})", "multiply": "({} * {})", "divide": "({} / {})", "negative": "(-{})",
    "greater": "({} > {})", "greater_equal": "({} >= {})", "equal": "({} == {})", "where": "({} ? {} : {})",
    "maximum": "larger({}, {})", "minimum": "smaller({}, {})", "absolute": "std::abs({})", "floor": "std::floor({})",
    "exp": "std::exp({})", "log": "std::log({})", "log1p": "log1p_rounded({})", "sqrt": "std::sqrt({})",
    "sin": "std::sin({})", "cos": "std::cos({})", "tanh": "std::tanh({})", "round": "round_{mode}({})",
    "widen": "static_cast<double>({})", "narrow": "static_cast<float>({})",
}  # fmt: skip
"""Elementwise operations."""


def build_cpp_header(classifier: ClassifierGraph) -> str:
    """Build the text of the header.

    Everything is in an inline namespace named by a hash of the classifier, so that two classifiers in one program
    cannot be confused.
    """
    document, folds = classifier.document, classifier.folds
    names = [feature["name"] for feature in document["features"]]
    graphs = {"find_missing": classifier.missing}
    if classifier.copies is not None:
        graphs["copy"] = classifier.copies
    graphs |= {f"network_{number}": graph for number, graph in enumerate(classifier.networks)}
    graphs |= {f"correct_{_scope(fold)}": graph for fold, graph in classifier.corrections.items()}
    copies, rule = len(document["copies"]), document["folds"]
    return render_template(
        "classifier.hpp.jinja",
        producer=document["producer"],
        namespace=_NAMESPACE,
        hash=_hash(document),
        features=[
            {"name": literal(feature["name"]), "field": field, "comment": _comment(feature)}
            for feature, field in zip(document["features"], build_identifiers(names), strict=True)
        ],
        classes=[literal(name) for name in document["classes"]],
        tables=[declare_table(convert_name(name), values) for name, values in classifier.constants.items()],
        functions=[_Function(name, graph) for name, graph in graphs.items()],
        averages=[
            {
                "scope": _scope(fold),
                "networks": classifier.networks_of(fold),
                "terms": len(classifier.networks_of(fold)) * max(copies, 1),
                "correction": classifier.corrections
                and _scope(fold if fold in classifier.corrections else None),
            }
            for fold in (None, *folds)
        ],
        copies=copies,
        folds=folds,
        required=classifier.required,
        fold_rule=f"{literal(rule['by'])} modulo {rule['number']}"
        if rule and rule["by"]
        else "not used without folds",
    )


def _hash(document: Document) -> str:
    return hash_json(document)[:16]


def _scope(fold: int | None) -> str:
    """Return the end of the names of functions for a fold, or for all networks."""
    return "all" if fold is None else f"fold_{fold}"


def build_namespace(document: Document) -> str:
    """Return the full namespace of a classifier; its last part can be omitted if a program has one classifier."""
    return f"{_NAMESPACE}::h{_hash(document)}"


def convert_name(constant: str) -> str:
    """Return the name of a constant in the header.

    >>> convert_name("networks.0.layers.1.weight")
    'networks_0_layers_1_weight'
    """
    return constant.replace(".", "_")


def read_constants(header: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a header by name, flattened.

    >>> read_constants("inline constexpr float bias[2] = {0x1p0f, -0x1.8p1f};")
    {'bias': array([ 1., -3.], dtype=float32)}
    """
    types = {"float": np.float32, "double": np.float64}

    def number(text: str) -> float:
        return math.inf if "infinity" in text else float.fromhex(text.removesuffix("f"))

    return {
        name: np.array([number(text) for text in re.findall(r"[^,{}\s]+", numbers)], types[kind])
        for kind, name, numbers in re.findall(
            r"^inline constexpr (float|double) (\w+)\[\d+\] = (\{[^;]*\});$", header, re.MULTILINE
        )
    }


def _array(kind: Kind, shape: Sequence[int]) -> str:
    return f"std::array<{_TYPES[kind]}, {math.prod(shape)}>"


class _Function:
    """A graph as a function, whose last arguments are the outputs."""

    def __init__(self, name: str, graph: Graph) -> None:
        self.name, self._graph = name, graph
        # the result of an elementwise operation that is used once, by another one, needs no array
        self._inline: dict[str, Node] = {}
        self._same: dict[str, str] = {}
        uses = Counter([*(str(name) for node in graph.nodes for name in node.inputs), *graph.outputs])
        nodes = {node.name: node for node in graph.nodes if node.operation in _EXPRESSIONS}
        for node in nodes.values():
            for operand in map(str, node.inputs):
                if operand in nodes and nodes[operand].shape == node.shape and uses[operand] == 1:
                    self._inline[operand] = nodes[operand]

    @property
    def arguments(self) -> str:
        graph = self._graph
        inputs = [f"const {_array(graph.kind(name), shape)}& {name}" for name, shape in graph.inputs.items()]
        results = [
            f"{_array(graph.kind(name), graph.shape(name))}& result_{number}"
            for number, name in enumerate(graph.outputs)
        ]
        return ", ".join([*inputs, *results])

    @property
    def lines(self) -> Iterator[str]:
        for node in self._graph.nodes:
            if node.name not in self._inline:
                yield from self._node(node)
        for number, name in enumerate(self._graph.outputs):
            yield f"result_{number} = {self._array_of(name)};"

    def _node(self, node: Node) -> Iterator[str]:
        if node.operation in ("column", "flatten"):
            self._same[node.name] = self._array_of(str(node.inputs[0]))
            return
        name, size = node.name, math.prod(node.shape)
        yield f"{_array(node.kind, node.shape)} {name};"
        operands = [self._array_of(operand) for operand in node.inputs if isinstance(operand, str)]
        first = self._graph.shape(str(node.inputs[0])) if isinstance(node.inputs[0], str) else ()
        match node.operation:
            case "affine":
                yield self._affine(node, operands)
            case "mean":
                rows, columns = (first[0], size) if node.attribute == 0 else (size, first[-1])
                function = "mean_of_rows" if node.attribute == 0 else "mean_of_columns"
                yield f"{function}<{rows}, {columns}>({operands[0]}, {name});"
            case "softmax":
                yield f"softmax<{size // node.shape[-1]}, {node.shape[-1]}>({operands[0]}, {name});"
            case "gather":
                yield f"constexpr std::size_t of_{name}[{size}] = {{{', '.join(map(str, node.attribute.ravel()))}}};"
                yield f"for (std::size_t i = 0; i < {size}; ++i) {name}[i] = {operands[0]}[of_{name}[i]];"
            case "locate":
                knots = self._graph.shape(str(node.inputs[1]))[1]
                yield f"locate<{size}, {knots}>({operands[0]}, {operands[1]}, {name});"
            case "take":
                length = first[1]
                yield f"take<{size}, {length}>({operands[0]}, {operands[1]}, {node.attribute}, {name});"
            case "concatenate":
                start = 0
                for operand, argument in zip(operands, map(str, node.inputs), strict=True):
                    *lead, width = self._graph.shape(argument)
                    yield f"place<{math.prod(lead)}, {width}, {node.shape[-1]}>({operand}, {start}, {name});"
                    start += width
            case _:
                expression = self._expression(node, node.shape)
                yield f"for (std::size_t i = 0; i < {size}; ++i) {name}[i] = {expression};"

    def _array_of(self, name: str) -> str:
        return convert_name(name) if name in self._graph.constants else self._same.get(name, name)

    def _affine(self, node: Node, operands: Sequence[str]) -> str:
        x, weight = (self._graph.shape(str(operand)) for operand in node.inputs[:2])
        rows = math.prod(node.shape[:-1])
        outputs, inputs = weight[-2:]
        # offsets between consecutive rows of the inputs and of the weights
        steps = [inputs if len(x) > 1 else 0, outputs if len(weight) > 2 else 0]
        bias = operands[2] if len(operands) > 2 else f"std::array<{_TYPES[node.kind]}, {rows * outputs}>{{}}"
        sizes = ", ".join(map(str, (rows, outputs, inputs, *steps)))
        return f"affine<{sizes}>({operands[0]}, {operands[1]}, {bias}, {node.name});"

    def _expression(self, node: Node, shape: tuple[int, ...]) -> str:
        kinds = (self._graph.kind(name) for name in node.inputs if isinstance(name, str))
        kind = next((kind for kind in kinds if kind != "bool"), node.kind)
        number: Callable[[float], str] = single if kind == "float32" else double
        operands = []
        for name in node.inputs:
            if not isinstance(name, str):
                operands.append(number(name))
            elif name in self._inline:
                operands.append(self._expression(self._inline[name], shape))
            else:
                operands.append(f"{self._array_of(name)}[{_index(self._graph.shape(name), shape)}]")
        return _EXPRESSIONS[node.operation].format(*operands, mode=node.attribute)


def _index(shape: tuple[int, ...], of: tuple[int, ...]) -> str:
    """Write the index into an array of one shape that corresponds to index i of an array of another shape.

    >>> _index((3,), (3,)), _index((3,), (2, 3)), _index((2, 1), (2, 3)), _index((1,), (3,))
    ('i', 'i % 3', 'i / 3', '0')
    """
    if shape == of:
        return "i"
    padded = (1,) * (len(of) - len(shape)) + shape
    terms = []
    for axis, size in enumerate(padded):
        behind, step = math.prod(of[axis + 1 :]), math.prod(padded[axis + 1 :])
        if size > 1:
            entry = "i" if behind == 1 else f"i / {behind}"
            entry = entry if axis == 0 or math.prod(of[:axis]) == 1 else f"{entry} % {size}"
            terms.append(entry if step == 1 else f"({entry}) * {step}")
    # a simpler expression for the common case of equal trailing axes
    if padded[-len(shape) :] == of[len(of) - len(shape) :] and shape:
        return f"i % {math.prod(shape)}"
    return " + ".join(terms) or "0"


def _comment(feature: Document) -> str:
    unit = f", {feature['unit']}" if feature["unit"] else ""
    missing = "may be missing" if feature["may_be_missing"] else "must be finite"
    # a literal has no line breaks, and no backslash at the end of a line, which would continue the comment
    return f"{literal(feature['expression'])}{literal(unit)[1:-1]}; {missing}"


def has_compiler() -> bool:
    """Return whether this machine can compile the header."""
    return shutil.which(COMPILER) is not None


class Program:
    """A program that scores events with the classifiers of some headers."""

    def __init__(self, headers: Sequence[Path], namespaces: Sequence[str], folder: Path) -> None:
        """Compile headers with these namespaces in a folder; raise an ExportError if the compiler refuses one."""
        source, self._program = folder / "scores.cpp", folder / "scores"
        paths = [path.resolve() for path in headers]
        text = render_template("program.cpp.jinja", headers=paths, namespaces=namespaces)
        source.write_text(text, encoding="utf-8")
        command = [COMPILER, *FLAGS, "-o", str(self._program), str(source)]
        compiled = subprocess.run(command, capture_output=True, text=True, check=False)
        if compiled.returncode:
            reason = next(
                (line for line in compiled.stderr.splitlines() if "error" in line), compiled.stderr[-500:]
            )
            raise ExportError(f"{COMPILER} does not compile the header, which was not written: {reason}")

    def scores(self, features: Float32, classes: int, fold: ArrayLike = NO_FOLD, number: int = 0) -> Float32:
        """Score events as a user passes them, [n, n_features], with one of the headers; [n, n_classes].

        The fold is that of each event, `NO_FOLD` if unknown, [n], or of all events. A crash is an `ExportError`.
        """
        folds = np.broadcast_to(np.asarray(fold), len(features))
        rows = np.concatenate([features, folds[:, None]], axis=1, dtype=np.float32)
        ran = subprocess.run(
            [self._program, str(number)], input=rows.tobytes(), capture_output=True, check=False
        )
        if ran.returncode:
            raise ExportError(f"the compiled header failed with status {ran.returncode}; it was not written")
        return np.frombuffer(ran.stdout, np.float32).reshape(len(features), classes)
