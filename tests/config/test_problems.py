"""Every refusal of one value: its place, its words and its line; and the earlier names of keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tamis.config import parse_config
from tamis.config.key_path import KeyPath, format_key_path
from tamis.config.problems import RENAMED_KEYS
from tamis.errors import ConfigurationError, Problem


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text)
    return list(caught.value.problems)


TOP_KEYS = (
    "name, seed, data, samples, classes, features, spectators, weights, split, preprocessing, network, "
    "training, evaluation, report"
)
FOLDER = "use letters, digits and _ . + - only, with a letter, a digit or _ first"
REFUSED = [
    # what stands at the top
    ("naem: x", "naem", f"unknown key; did you mean 'name'? Keys here: {TOP_KEYS}"),
    ("zzz: x", "zzz", f"unknown key; keys here: {TOP_KEYS}"),
    ("name: 5", "name", "expected text, found 5; put it in quotes"),
    ("name: a/b", "name", f"the text 'a/b' cannot name the folder of the run; {FOLDER}"),
    ("name: ..", "name", f"the text '..' cannot name the folder of the run; {FOLDER}"),
    ('name: "a\\n"', "name", f"the text 'a\\n' cannot name the folder of the run; {FOLDER}"),
    ("name:", "name", "expected text, found nothing"),
    ("seed: true", "seed", "expected a whole number, found true"),
    ("seed: -1", "seed", "expected a number of at least 0, found -1"),
    ("seed: 4294967296", "seed", "expected a number of at most 4,294,967,295, found 4294967296"),
    ("seed: 1.0", "seed", "expected a whole number, found 1.0"),
    ('seed: "1"', "seed", "expected a whole number, found the text '1'; remove the quotes"),
    ('data: ""', "data", "expected some text, found none"),
    (
        'data: "a\\0"',
        "data",
        "the text 'a\\x00' has a control character or an incomplete character; remove it",
    ),
    # columns
    ("spectators: {}", "spectators", "expected a list, found a mapping"),
    (
        "spectators: [3]",
        "spectators[0]",
        "expected the name of a branch or a mapping (name: NAME, expression: ...), found 3",
    ),
    (
        'spectators: [""]',
        "spectators[0]",
        "expected some text, found none; write a formula as {name: ..., expression: ...}",
    ),
    (
        "spectators: [a/b]",
        "spectators[0]",
        "the text 'a/b' is not a name: slashes and invisible characters are not allowed; "
        "write a formula as {name: ..., expression: ...}",
    ),
    (
        'spectators: [{name: " a"}]',
        "spectators[0].name",
        "the text ' a' begins or ends with a space; remove it; write a formula as {name: ..., expression: ...}",
    ),
    ("spectators: [{}]", "spectators[0].name", "this key is required"),
    ("spectators: [{name: 3}]", "spectators[0].name", "expected text, found 3; put it in quotes"),
    (
        "spectators: [{name: a, expression: 3}]",
        "spectators[0].expression",
        "expected text, found 3; put it in quotes",
    ),
    (
        'spectators: [{name: a, expression: " "}]',
        "spectators[0].expression",
        "expected an expression of branches, found an empty text",
    ),
    ('spectators: [{name: a, unit: ""}]', "spectators[0].unit", "expected some text, found none"),
    (
        "spectators: [{name: a, missing: x}]",
        "spectators[0].missing",
        "expected a number, nan or a list of them, found the text 'x'",
    ),
    (
        "spectators: [{name: a, missing: [1, true]}]",
        "spectators[0].missing",
        "expected a number, nan or a list of them, found true",
    ),
    (
        f"spectators: [{{name: a, missing: 1{'0' * 400}}}]",
        "spectators[0].missing",
        "expected a number of at most 1e308, found a very large number",
    ),
    (
        "spectators: [{name: a, titel: x}]",
        "spectators[0].titel",
        "unknown key; keys here: name, expression, unit, label, missing",
    ),
    # weights and split
    ("weights: 3", "weights", "expected a mapping (key: value), found 3"),
    (
        "weights: {balance: classses}",
        "weights.balance",
        "expected one of classes, none; found the text 'classses'; did you mean 'classes'?",
    ),
    ("weights: {balance: true}", "weights.balance", "expected one of classes, none; found true"),
    ("weights: {balance: {bkg: 0}}", "weights.balance.bkg", "expected a number above 0, found 0"),
    ("weights: {balance: {bkg: .inf}}", "weights.balance.bkg", "expected a finite number, found inf"),
    (
        "weights: {negative: droop}",
        "weights.negative",
        "expected one of keep, drop, absolute, refuse; found the text 'droop'; did you mean 'drop'?",
    ),
    ("split: {test: 0}", "split.test", "expected a number above 0, found 0"),
    ("split: {test: 1}", "split.test", "expected a number below 1, found 1"),
    ("split: {validation: .nan}", "split.validation", "expected a finite number, found nan"),
    (
        "split: {validation: 0.5.1}",
        "split.validation",
        "expected a number, found the text '0.5.1'",
    ),
    ("split: {event_id: []}", "split.event_id", "expected at least 1 entry, found 0"),
    ("split: {event_id: 3}", "split.event_id", "expected a list, found 3"),
    ("split: {event_id: [event, 3]}", "split.event_id[1]", "expected text, found 3; put it in quotes"),
    ('split: {event_id: ""}', "split.event_id", "expected an expression of branches, found an empty text"),
    ("split: {folds: 1}", "split.folds", "expected a number of at least 2, found 1"),
    # preprocessing and network
    (
        "preprocessing: {scaling: quantiles}",
        "preprocessing.scaling",
        "expected one of standard, none, robust, quantile; found the text 'quantiles'; "
        "did you mean 'quantile'?",
    ),
    (
        "preprocessing: {missing: mean}",
        "preprocessing.missing",
        "expected median; found the text 'mean'; did you mean 'median'?",
    ),
    ("network: {layers: 3}", "network.layers", "expected a list, found 3"),
    ("network: {layers: [64]}", "network.layers[0]", "expected a mapping (nodes: 64), found 64"),
    ("network: {layers: [{}]}", "network.layers[0].nodes", "this key is required"),
    (
        "network: {layers: [{nodes: 1, type: spares}]}",
        "network.layers[0].type",
        "expected one of dense, sparse, quantized; found the text 'spares'; did you mean 'sparse'?",
    ),
    (
        "network: {layers: [{nodes: 0}]}",
        "network.layers[0].nodes",
        "expected a number of at least 1, found 0",
    ),
    (
        "network: {layers: [{nodes: 65537}]}",
        "network.layers[0].nodes",
        "expected a number of at most 65,536, found 65537",
    ),
    (
        "network: {layers: [{nodes: 1, activaton: relu}]}",
        "network.layers[0].activaton",
        "unknown key; did you mean 'activation'? Keys here: type, nodes, activation, slope, "
        "dropout, normalisation, residual",
    ),
    # training
    (
        "training: {loss: mse}",
        "training.loss",
        "expected one of cross_entropy, binary_cross_entropy, focal, label_smoothing, squared_error, significance; "
        "found the text 'mse'",
    ),
    (
        "training: {loss: {name: focal, gama: 1}}",
        "training.loss.gama",
        "unknown key; did you mean 'gamma'? Keys here: name, gamma",
    ),
    (
        "training: {loss: {name: significance, signal: 10}}",
        "training.loss.background",
        "this key is required",
    ),
    ("training: {loss: {gamma: 1}}", "training.loss.gamma", "unknown key; keys here: name"),
    (
        "training: {optimizer: adma}",
        "training.optimizer",
        "expected one of adam, adamw, nadam, rmsprop, lion, muon, schedule_free_adamw, sgd; "
        "found the text 'adma'; did you mean 'adam'?",
    ),
    (
        "training: {optimizer: {name: adma}}",
        "training.optimizer.name",
        "expected one of adam, adamw, nadam, rmsprop, lion, muon, schedule_free_adamw, sgd; "
        "found the text 'adma'; did you mean 'adam'?",
    ),
    (
        "training: {optimizer: 3}",
        "training.optimizer",
        "expected the name of an optimizer, such as adam, or a mapping (name: adam), found 3",
    ),
    (
        "training: {optimizer: {learning_rate: 0}}",
        "training.optimizer.learning_rate",
        "expected a number above 0, found 0",
    ),
    (
        "training: {optimizer: {beta1: 1.0}}",
        "training.optimizer.beta1",
        "expected a number below 1, found 1.0",
    ),
    (
        "training: {optimizer: {name: adam, momentum: 0.9}}",
        "training.optimizer.momentum",
        "unknown key; keys here: name, learning_rate, beta1, beta2, epsilon",
    ),
    (
        "training: {optimizer: {name: sgd, momentun: 0.9}}",
        "training.optimizer.momentun",
        "unknown key; did you mean 'momentum'? Keys here: name, learning_rate, momentum, nesterov, "
        "weight_decay",
    ),
    (
        "training: {optimizer: {name: adamw, weight_decay: -1}}",
        "training.optimizer.weight_decay",
        "expected a number of at least 0, found -1",
    ),
    (
        "training: {optimizer: {name: sgd, momentum: 0, nesterov: true}}",
        "training.optimizer",
        "nesterov needs momentum above 0; set momentum, or nesterov to false",
    ),
    (
        "training: {optimizer: {name: sgd, nesterov: 1}}",
        "training.optimizer.nesterov",
        "expected true or false, found 1",
    ),
    (
        "training: {schedule: linear}",
        "training.schedule",
        "expected one of constant, step, exponential, cosine, one_cycle, plateau; found the text 'linear'",
    ),
    ("training: {schedule: {warm_up: 1}}", "training.schedule.warm_up", "expected a number below 1, found 1"),
    (
        "training: {schedule: {name: step, at: [0.5, 0.25]}}",
        "training.schedule",
        "`at` is [0.5, 0.25]; write the fractions in rising order, each once",
    ),
    (
        'training: {batch_size: "32"}',
        "training.batch_size",
        "expected auto or a whole number, found the text '32'; remove the quotes",
    ),
    ("training: {batch_size: 0}", "training.batch_size", "expected a number of at least 1, found 0"),
    ("training: {epochs: 1e2}", "training.epochs", "expected auto or a whole number, found 100.0"),
    (
        "training: {early_stopping: {patience: 0}}",
        "training.early_stopping.patience",
        "expected a number of at least 1, found 0",
    ),
    (
        "training: {early_stopping: {monitor: loss}}",
        "training.early_stopping.monitor",
        "expected one of validation_loss, validation_accuracy, validation_auc, validation_significance; "
        "found the text 'loss'",
    ),
    (
        "training: {early_stopping: true}",
        "training.early_stopping",
        "expected a mapping (key: value), found true",
    ),
    ("training: {devices: 0}", "training.devices", "expected a number of at least 1, found 0"),
    (
        "training: {devices: true}",
        "training.devices",
        "expected auto or a whole number of at least 1, found true",
    ),
    (
        "training: {devices: gpu}",
        "training.devices",
        "expected auto or a whole number of at least 1, found the text 'gpu'",
    ),
    # evaluation
    (
        "evaluation: {working_points: [0.5, 1.5]}",
        "evaluation.working_points[1]",
        "expected a number below 1, found 1.5",
    ),
    (
        "evaluation: {reference: x}",
        "evaluation.reference",
        "expected a mapping (key: value), found the text 'x'",
    ),
    (
        "evaluation: {reference: {}}",
        "evaluation.reference",
        "expected exactly one of log_density, discriminant; found none",
    ),
    (
        "evaluation: {reference: {discriminat: {}}}",
        "evaluation.reference",
        "expected exactly one of log_density, discriminant; found none; did you mean 'discriminant'?",
    ),
    (
        "evaluation: {reference: {log_density: {bkg: a, sig: b}, discriminant: {sig: c}}}",
        "evaluation.reference",
        "expected exactly one of log_density, discriminant; found log_density and discriminant",
    ),
    (
        "evaluation: {reference: {discriminant: {}}}",
        "evaluation.reference.discriminant",
        "expected at least 1 entry, found 0",
    ),
    (
        "evaluation: {reference: {discriminant: {sig: 3}}}",
        "evaluation.reference.discriminant.sig",
        "expected text, found 3; put it in quotes",
    ),
    (
        "evaluation: {reference: {discriminant: {sig: c}, other: 3}}",
        "evaluation.reference.other",
        "unknown key; keys here: discriminant",
    ),
    # report
    (
        "report: {formats: [svg, pdf, svg]}",
        "report.formats",
        "names svg more than once; name each format once",
    ),
    ("report: {formats: [eps]}", "report.formats[0]", "expected one of svg, pdf, png; found the text 'eps'"),
    ("report: {figures: 1}", "report.figures", "expected true or false, found 1"),
]


@pytest.mark.parametrize(("added", "where", "message"), REFUSED, ids=[case[0][:60] for case in REFUSED])
def test_one_wrong_value_is_the_one_problem(minimal: str, added: str, where: str, message: str) -> None:
    assert problems_of(minimal + added) == [Problem(where, message, 8)]


REPLACED = [
    (
        "name: signal, ",
        "",
        Problem("samples[1].name", "this key is required", 3),
    ),
    (
        "name: signal",
        "name: a/b",
        Problem(
            "samples[1].name",
            "the text 'a/b' is not a name: slashes and invisible characters are not allowed",
            3,
        ),
    ),
    ("class: sig", "kind: sig", Problem("samples[1].class", "this key is required", 3)),
    ("files: signal.root", "files: 3", Problem("samples[1].files", "expected a list, found 3", 3)),
    ("files: signal.root", "files: []", Problem("samples[1].files", "expected at least 1 entry, found 0", 3)),
    ("files: signal.root", 'files: ""', Problem("samples[1].files", "expected some text, found none", 3)),
    (
        "files: signal.root",
        "files: [a, 3]",
        Problem("samples[1].files[1]", "expected text, found 3; put it in quotes", 3),
    ),
    (
        "signal.root",
        "a, weight: .inf",
        Problem("samples[1].weight", "expected a finite number, found inf", 3),
    ),
    (
        "signal.root",
        "a, weight: true",
        Problem("samples[1].weight", "expected a number or an expression of branches, found true", 3),
    ),
    (
        "signal.root",
        f"a, weight: 1{'0' * 400}",
        Problem("samples[1].weight", "expected a number of at most 1e308, found a very large number", 3),
    ),
    (
        "signal.root",
        'a, weight: ""',
        Problem("samples[1].weight", "expected an expression of branches, found an empty text", 3),
    ),
    ("signal.root", "a, tree: 5", Problem("samples[1].tree", "expected text, found 5; put it in quotes", 3)),
    (
        "signal.root",
        "a, wieght: 5",
        Problem(
            "samples[1].wieght",
            "unknown key; did you mean 'weight'? Keys here: name, class, files, tree, weight, selection",
            3,
        ),
    ),
    (
        "signal.root",
        "a, class_name: sig",
        Problem(
            "samples[1].class_name",
            "unknown key; did you mean 'class'? Keys here: name, class, files, tree, weight, selection",
            3,
        ),
    ),
    (
        "{signal: true}",
        "{signal: yes}",
        Problem("classes.sig.signal", "expected true or false, found the text 'yes'", 6),
    ),
    (
        "{signal: true}",
        "{signal: true, label: 3}",
        Problem("classes.sig.label", "expected text, found 3; put it in quotes", 6),
    ),
    (
        "{signal: true}",
        "{signal: true, lable: a}",
        Problem("classes.sig.lable", "unknown key; did you mean 'label'? Keys here: label, signal", 6),
    ),
    ("[pt, mass]", "[]", Problem("features", "expected at least 1 entry, found 0", 7)),
    ("[pt, mass]", "pt", Problem("features", "expected a list, found the text 'pt'", 7)),
    (
        "[pt, mass]",
        "[pt, [mass]]",
        Problem(
            "features[1]",
            "expected the name of a branch or a mapping (name: NAME, expression: ...), found a list",
            7,
        ),
    ),
]


@pytest.mark.parametrize(("old", "new", "problem"), REPLACED, ids=[case[1][:60] for case in REPLACED])
def test_one_wrong_value_in_place_of_a_right_one(minimal: str, old: str, new: str, problem: Problem) -> None:
    assert old in minimal
    assert problem in problems_of(minimal.replace(old, new))


def test_all_problems_are_told_at_once_in_the_order_of_the_file(minimal: str) -> None:
    added = [
        case
        for case in REFUSED
        if case[0].startswith(("seed: -1", "split: {test: 0}", "network: {layers: 3}"))
    ]
    text = minimal.replace("class: bkg", "class: bgk") + "\n".join(line for line, _, _ in added)
    found = problems_of(text)
    assert [problem.line for problem in found] == [2, 8, 9, 10]
    assert [problem.where for problem in found] == [
        "samples[0].class",
        "seed",
        "split.test",
        "network.layers",
    ]


def test_a_wrong_entry_does_not_make_its_list_short(minimal: str) -> None:
    found = problems_of(minimal.replace("[pt, mass]", "[3]"))
    assert [problem.where for problem in found] == ["features[0]"]


def test_what_is_needed_is_asked_for() -> None:
    found = problems_of("name: a")
    message = "this key is required"
    assert found == [Problem(key, message, 1) for key in ("samples", "classes", "features")]


def test_a_class_may_be_called_like_a_key(minimal: str) -> None:
    text = minimal.replace("bkg", "label").replace("sig:", "sig: {lable: x, signal: true} #")
    assert problems_of(text) == [
        Problem("classes.sig.lable", "unknown key; did you mean 'label'? Keys here: label, signal", 6)
    ]
    text = minimal.replace("class: bkg", "class: label").replace("bkg:", "label: {lable: x}")
    assert problems_of(text) == [
        Problem("classes.label.lable", "unknown key; did you mean 'label'? Keys here: label, signal", 5)
    ]


def test_no_message_speaks_of_the_machinery(minimal: str) -> None:
    text = minimal + "\n".join(dict.fromkeys(case[0] for case in REFUSED if ":" in case[0]))
    words = " ".join(f"{problem.where} {problem.message}" for problem in problems_of(text)).lower()
    assert not any(word in words for word in ("pydantic", "http", "input should", "none_required"))


def test_the_error_names_what_was_read() -> None:
    with pytest.raises(ConfigurationError):
        parse_config("name: a", title="offshell.yaml")


SECTIONS: Mapping[KeyPath, str] = {
    ("evaluation",): "",
    ("network",): "",
    ("network", "gains"): "",
    ("network", "layers", 0): "type: sparse, density: 0.5, nodes: 4, ",
    ("network", "quantized_output"): "",
    ("split",): "",
    ("training",): "",
    ("training", "schedule"): "name: plateau, ",
}
"""What else a section with a renamed key needs."""
QUANTIZED = "type: quantized, nodes: 4, input: {bits: 10, integer: 4}, "


def section_with(path: KeyPath, value: str) -> str:
    """Write YAML text in which this key has this value."""
    is_quantized = {path[-1], RENAMED_KEYS.get(path)} & {"ebops_cost", "learn_bits"} and "layers" in path
    keys = QUANTIZED if is_quantized else SECTIONS[path[:-1]]
    text = f"{{{keys}{path[-1]}: {value}}}"
    for key in reversed(path[1:-1]):
        text = f"[{text}]" if key == 0 else f"{{{key}: {text}}}"
    return f"{path[0]}: {text}\n"


@pytest.mark.parametrize("path", RENAMED_KEYS, ids=format_key_path)
def test_an_old_key_is_answered_with_its_name_and_path_of_today(path: KeyPath, minimal: str) -> None:
    name = RENAMED_KEYS[path]
    message = f"this key is now called {name}; write {format_key_path((*path[:-1], name))}"
    line = minimal.count("\n") + 1
    assert problems_of(minimal + section_with(path, "1")) == [Problem(format_key_path(path), message, line)]


@pytest.mark.parametrize("path", RENAMED_KEYS, ids=format_key_path)
def test_the_new_key_is_known(path: KeyPath, minimal: str) -> None:
    new = (*path[:-1], RENAMED_KEYS[path])
    # a mapping of what no key takes
    problems = problems_of(minimal + section_with(new, "{nothing: 1}"))
    assert problems
    assert not any(
        problem.message.startswith(("unknown key;", "this key is now"))
        and problem.where == format_key_path(new)
        for problem in problems
    )


def test_an_old_key_of_another_section_is_unknown(minimal: str) -> None:
    layers = "[{nodes: 4}, {type: sparse, nodes: 4, density: 0.5, begin: 0.1}, {nodes: 4, begin: 0.1}]"
    messages = {
        problem.where: problem.message for problem in problems_of(f"{minimal}network: {{layers: {layers}}}")
    }
    assert messages["network.layers[1].begin"].endswith("write network.layers[1].pruning_begin")
    assert messages["network.layers[2].begin"].startswith("unknown key")


def test_the_changelog_lists_every_renamed_key() -> None:
    text = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for path, name in RENAMED_KEYS.items():
        assert any(path[0] in row and str(path[-1]) in row and name in row for row in rows), path


def test_an_old_key_of_the_command_line_is_answered_too(minimal: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(minimal, overrides=["training.seeds=3"])
    (problem,) = caught.value.problems
    assert problem.where == "training.seeds (from --set)"
    assert problem.message == "this key is now called ensemble; write training.ensemble"


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("samples:", "sample:", "sample"),
        ("class: bkg", "clas: bkg", "samples[0].clas"),
        ("features: [pt, mass]", "features: [pt, {nam: mass}]", "features[1].nam"),
        ("classes:", "network: {layers: [{node: 3}]}\nclasses:", "network.layers[0].node"),
    ],
)
def test_a_misspelt_key_that_is_required_is_one_problem(old: str, new: str, path: str, minimal: str) -> None:
    (problem,) = problems_of(minimal.replace(old, new))
    assert problem.where == path


def test_a_missing_key_beside_an_unknown_one_is_reported(minimal: str) -> None:
    problems = problems_of(minimal.replace("class: bkg", "colour: red"))
    assert {problem.where for problem in problems} == {"samples[0].class", "samples[0].colour"}
