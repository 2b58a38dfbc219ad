"""A classifier as one header of C++17 without dependencies, written from its plain JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from tamis.deploy.cpp_text import braces, double, identifiers, literal, single, table

Document = Mapping[str, Any]

_FUNCTIONS = {"tanh": "hyperbolic"}
_INDICATORS, _GIVEN = "indicators", "given"


def cpp_header(document: Document) -> str:
    """Write the header.

    Everything is in an inline namespace that is named by a hash of the classifier, so that two classifiers in one
    program can never be taken for each other.

    Args:
        document: of `plain_document`.
    """
    identity = _identity(document)
    functions = files("tamis.deploy").joinpath("functions.hpp").read_text(encoding="utf-8")
    networks = document["networks"]
    return "\n".join(
        [
            _beginning(document, identity),
            functions,
            *(_tables(network, number) for number, network in enumerate(networks)),
            *(_network(network, number) for number, network in enumerate(networks)),
            *(_copy(copy, number) for number, copy in enumerate(document["copies"])),
            *_averages(document),
            _ending(document),
        ]
    )


def _identity(document: Document) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def namespace_of(document: Document) -> str:
    """Give the whole name of the namespace of a classifier; its last part may be left out where there is only one."""
    return f"{_NAMESPACE}::h{_identity(document)}"


def _beginning(document: Document, identity: str) -> str:
    features, classes = document["features"], document["classes"]
    names = identifiers([feature["name"] for feature in features])
    fields = [
        f"  float {name} = std::numeric_limits<float>::quiet_NaN();  // {_comment(feature)}"
        for name, feature in zip(names, features, strict=True)
    ]
    return f"""// A classifier, written by {document["producer"]}. C++17; no dependencies; do not edit.
//
//   {_NAMESPACE}::Event event;
//   event.{names[0]} = 40.0f;  // and all others
//   const auto scores = {_NAMESPACE}::predict(event);  // scores[i] belongs to class_names[i]
#ifndef TAMIS_CLASSIFIER_{identity.upper()}
#define TAMIS_CLASSIFIER_{identity.upper()}

#ifdef __FAST_MATH__
#error "missing values are not a number, which -ffast-math does not know: compile without it"
#endif

#include <array>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <limits>

namespace {_NAMESPACE} {{
inline namespace h{identity} {{

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

inline constexpr std::size_t n_features = {len(features)};
inline constexpr std::size_t n_classes = {len(classes)};
inline constexpr std::array<const char*, n_features> feature_names = {{{_list(f["name"] for f in features)}}};
inline constexpr std::array<const char*, n_classes> class_names = {{{_list(classes)}}};

// The features in their order; what is missing may be NaN or a sentinel.
struct Event {{
{chr(10).join(fields)}
}};

using Scores = std::array<float, n_classes>;

namespace inside {{
"""


_NAMESPACE = "tamis_classifier"


def _list(texts: Any) -> str:
    return ", ".join(literal(text) for text in texts)


def _comment(feature: Document) -> str:
    unit = f", {feature['unit']}" if feature["unit"] else ""
    missing = "may be missing" if feature["may_be_missing"] else "must be finite"
    # a literal has no line breaks, and a backslash at the end of a line would swallow the next
    return f"{literal(feature['expression'])}{literal(unit)[1:-1]}; {missing}"


def _tables(network: Document, number: int) -> str:
    """Declare all numbers of a network."""
    found: dict[tuple[str, str], Any] = {("float", "fill_values"): network["fill"]}
    scaling, embedding = network["scaling"], network["embedding"]
    found |= {("float", f"scaling_{key}"): scaling[key] for key in scaling if key != "kind"}
    if network["indicators"]:
        found["std::size_t", _INDICATORS] = network["indicators"]
    if embedding is not None:
        found |= {(_kind_of(key), f"embedding_{key}"): embedding[key] for key in embedding if key != "kind"}
    if network["shared_members"] is not None:
        found |= {("float", f"scales_{index}"): each for index, each in enumerate(network["shared_members"])}
    for index, layer in enumerate(network["layers"]):
        found |= {("double", f"weight_{index}"): layer["weight"], ("double", f"bias_{index}"): layer["bias"]}
        if layer["layer_normalisation"] is not None:
            found["double", f"normalisation_{index}"] = layer["layer_normalisation"]
    for index, output in enumerate(network["outputs"]):
        found |= {
            ("double", f"end_weight_{index}"): output["weight"],
            ("double", f"end_bias_{index}"): output["bias"],
        }
    declared = [table(kind, name, values) for (kind, name), values in found.items()]
    formats = [
        f"inline constexpr Format {key}_{index} = {_format(layer[key])};"
        for index, layer in enumerate(network["layers"])
        for key in ("input_format", "output_format")
        if layer[key] is not None
    ]
    return "\n".join(
        [f"namespace network_{number} {{", *declared, *formats, f"}}  // namespace network_{number}", ""]
    )


def _kind_of(key: str) -> str:
    return "double" if key in ("weight", "bias") else "float"


def _format(form: Document) -> str:
    limits = f"{double(form['lowest'])}, {double(form['highest'])}"
    how = f"Rounding::{form['rounding']}, Overflow::{form['overflow']}"
    return f"{{{form['bits']}, {form['fraction']}, {limits}, {how}}}"


def _network(network: Document, number: int) -> str:
    """Write the function that scores events with a network."""
    layers = [line for index, layer in enumerate(network["layers"]) for line in _layer(layer, index)]
    shared = network["shared_members"]
    ends = [
        [
            f"auto x0 = {'embedded' if shared is None else f'multiplied(embedded, scales_{index})'};",
            *layers,
            f"auto scores = product(end_weight_{index}, x{len(network['layers'])});",
            f"add(scores, end_bias_{index});",
            "soften(scores);",
            "add(total, scores);",
        ]
        for index in range(len(network["outputs"]))
    ]
    blocks = [f"  {{\n{_indented(lines, 4)}\n  }}" for lines in ends]
    return "\n".join(
        [
            f"inline Nodes<n_classes> scores_{number}(const Values& given) {{",
            f"  using namespace network_{number};",
            "  Values values = given;",
            _indented(
                [*_preprocessing(network), f"const auto embedded = {_embedded(network['embedding'])};"], 2
            ),
            "  Nodes<n_classes> total{};",
            *blocks,
            f"  apply(total, [](double sum) {{ return sum / {len(ends)}; }});",
            "  return total;",
            "}",
            "",
        ]
    )


def _indented(lines: Sequence[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in lines)


def _preprocessing(network: Document) -> list[str]:
    lines = ["fill(values, fill_values);"]
    logarithm = network["logarithm"]
    if logarithm is not None:
        columns = zip(logarithm["features"], logarithm["lowest"], logarithm["typical"], strict=True)
        lines += [
            f"take_logarithm(values[{i}], {single(low)}, {single(typical)});" for i, low, typical in columns
        ]
    match network["scaling"]["kind"]:
        case "quantile":
            lines.append("interpolate(values, scaling_knots, scaling_values);")
        case "standard":
            lines.append("standardise(values, scaling_centre, scaling_scale);")
        case "robust":
            lines += ["standardise(values, scaling_centre, scaling_scale);", "compress(values);"]
        case _:
            pass
    more = f", {_GIVEN}, {_INDICATORS}" if network["indicators"] else ""
    return [*lines, f"const auto x = inputs(values{more});"]


def _embedded(embedding: Document | None) -> str:
    match None if embedding is None else embedding["kind"]:
        case None:
            return "x"
        case "gains":
            return "multiplied(x, embedding_gain)"
        case "piecewise_linear":
            return "piecewise_linear(x, embedding_edges)"
        case _:
            return "periodic(x, embedding_frequency, embedding_weight, embedding_bias)"


def _layer(layer: Document, index: int) -> list[str]:
    given, made = f"x{index}", f"x{index + 1}"
    lines = []
    if layer["input_format"] is not None:
        lines.append(f"apply({given}, input_format_{index});")
    lines.append(f"auto {made} = product(weight_{index}, {given});")
    if layer["layer_normalisation"] is not None:
        lines.append(f"normalise({made}, normalisation_{index});")
    lines.append(f"add({made}, bias_{index});")
    name = layer["activation"]
    if name == "leaky_relu":
        lines.append(f"apply({made}, [](double x) {{ return x > 0.0 ? x : {double(layer['slope'])} * x; }});")
    elif name != "linear":
        lines.append(f"apply({made}, {_FUNCTIONS.get(name, name)});")
    if layer["residual"]:
        lines.append(f"add({made}, {given});")
    if layer["output_format"] is not None:
        lines.append(f"apply({made}, output_format_{index});")
    return lines


def _copy(copy: Document, number: int) -> str:
    """Write the function that gives one copy of an event."""
    rows = ", ".join(f"{{{braces(copy[key], single)}}}" for key in ("sign", "shift", "start", "period"))
    exchanges = [f"exchange(moved, given, {braces(columns, int)});" for columns in copy["exchanges"]]
    return "\n".join(
        [
            f"inline Values copy_{number}(const Values& given) {{",
            f"  constexpr Copy copy = {{{{{braces(copy['source'], int)}}}, {rows}}};",
            "  Values moved = taken(given, copy);",
            *(f"  {line}" for line in exchanges),
            "  turn(moved, copy);",
            "  return moved;",
            "}",
            "",
        ]
    )


def _averages(document: Document) -> list[str]:
    """Write a function for the average of all networks, and one for the networks of each fold."""
    networks = document["networks"]
    folds = sorted({network["fold"] for network in networks if network["fold"] is not None})
    found = [_average(document, "average_of_all", range(len(networks)), None)]
    for fold in folds:
        own = [number for number, network in enumerate(networks) if network["fold"] == fold]
        found.append(_average(document, f"average_of_fold_{fold}", own, fold))
    return found


def _average(document: Document, name: str, networks: Sequence[int], fold: int | None) -> str:
    copies = [f"copy_{number}(given)" for number in range(len(document["copies"]))] or ["given"]
    lines = ["Nodes<n_classes> total{};"]
    for copy in copies:
        lines.append("{")
        lines.append(f"  const Values copied = {copy};")
        lines += [f"  add(total, scores_{number}(copied));" for number in networks]
        lines.append("}")
    lines.append(f"apply(total, [](double sum) {{ return sum / {len(copies) * len(networks)}; }});")
    calibration = document["calibration"]
    if calibration is not None:
        scaling = calibration["of_folds"].get(str(fold), calibration["of_all"])
        lines.append(f"constexpr double scale[n_classes] = {braces(scaling['scale'], double)};")
        lines.append(f"constexpr double offset[n_classes] = {braces(scaling['offset'], double)};")
        lines.append("correct(total, scale, offset);")
    return f"inline Nodes<n_classes> {name}(const Values& given) {{\n{_indented([*lines, 'return total;'], 2)}\n}}\n"


def _ending(document: Document) -> str:
    features, networks = document["features"], document["networks"]
    removed = [
        f"inside::remove(given[{index}], {{{', '.join(single(value) for value in feature['sentinels'])}}});"
        for index, feature in enumerate(features)
    ]
    needed = [index for index, feature in enumerate(features) if not feature["may_be_missing"]]
    lacking = [f"if (std::isnan(given[{index}])) lacking = true;" for index in needed]
    folds = sorted({network["fold"] for network in networks if network["fold"] is not None})
    cases = [f"    case {fold}: total = inside::average_of_fold_{fold}(given); break;" for fold in folds]
    fields = ", ".join(f"event.{name}" for name in identifiers([feature["name"] for feature in features]))
    chosen = (
        ["switch (fold) {", *cases, "    default: total = inside::average_of_all(given);", "  }"]
        if folds
        else ["total = inside::average_of_all(given);"]
    )
    rule = document["folds"] and document["folds"]["by"]
    how = f"{literal(rule)} modulo {document['folds']['number']}" if rule else "not used without folds"
    return f"""}}  // namespace inside

// The scores of an event; all are NaN where a feature is missing that may not be.
// fold: {how}; -1 where unknown, for the average of all networks.
inline Scores predict(std::array<float, n_features> given, [[maybe_unused]] int fold = -1) {{
{_indented(removed, 2)}
  bool lacking = false;
{_indented(lacking, 2)}
  Scores scores{{}};
  if (lacking) {{
    scores.fill(std::numeric_limits<float>::quiet_NaN());
    return scores;
  }}
  inside::Nodes<n_classes> total{{}};
{_indented(chosen, 2)}
  for (std::size_t i = 0; i < n_classes; ++i) scores[i] = static_cast<float>(total[i]);
  return scores;
}}

inline Scores predict(const Event& event, int fold = -1) {{
  return predict(std::array<float, n_features>{{{fields}}}, fold);
}}

}}  // namespace h
}}  // namespace {_NAMESPACE}

#endif
"""
