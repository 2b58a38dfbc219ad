from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tamis.config import (
    Adam,
    AdamW,
    Discriminant,
    EarlyStopping,
    LogDensity,
    Sgd,
    load_config,
    parse_config,
)
from tamis.config.key_path import KeyPath
from tamis.errors import ConfigurationError, Problem


def write(folder: Path, text: str, name: str = "offshell.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


# Files


def test_the_data_lie_beside_the_file_by_default(minimal: str, tmp_path: Path) -> None:
    assert load_config(write(tmp_path, minimal)).data == str(tmp_path)


def test_a_relative_folder_counts_from_the_file(minimal: str, tmp_path: Path) -> None:
    assert load_config(write(tmp_path, minimal + "data: events/2024")).data == str(
        tmp_path / "events" / "2024"
    )


@pytest.mark.parametrize("folder", ["/eos/events", "root://eos.example.org//events"])
def test_an_absolute_folder_and_a_url_stay(minimal: str, tmp_path: Path, folder: str) -> None:
    assert load_config(write(tmp_path, f"{minimal}data: {folder}")).data == folder


def test_the_home_folder_can_be_written_short(
    minimal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/marie")
    assert load_config(write(tmp_path, minimal + "data: ~/events")).data == "/home/marie/events"


def test_the_argument_replaces_the_folder_and_counts_from_here(
    minimal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, minimal + "data: /eos/events")
    assert load_config(file, data="other").data == str(tmp_path / "other")
    assert parse_config(minimal, data=Path("other")).data == str(tmp_path / "other")


def test_a_relative_path_of_the_file_gives_an_absolute_folder(
    minimal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, minimal)
    assert load_config("offshell.yaml").data == str(tmp_path)


def test_a_text_has_no_folder(minimal: str) -> None:
    assert parse_config(minimal).data is None
    assert parse_config(minimal + "data: events").data == "events"


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("off-shell.v2.yaml", "off-shell.v2"),
        ("my run.yml", "my_run"),
        (".hidden.yaml", "hidden"),
        ("é.yaml", "_"),
    ],
)
def test_the_run_is_called_like_the_file(minimal: str, tmp_path: Path, name: str, run: str) -> None:
    assert load_config(write(tmp_path, minimal, name)).name == run
    assert load_config(write(tmp_path, minimal + "name: other", name)).name == "other"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.yaml", "(No such file or directory): check the path; `tamis init FILES` writes a new one"),
        (".", "(Is a directory): give the YAML file, not its folder"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(tmp_path / name)
    assert caught.value.title == str(tmp_path / name)
    assert caught.value.problems == (Problem("", f"the file cannot be read {reason}"),)


def test_problems_name_the_file_and_the_line(minimal: str, tmp_path: Path) -> None:
    file = write(tmp_path, minimal + "data: 3\nseed: -1")
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, overrides=["split.test=2"])
    assert str(caught.value) == (
        f"{file}: 3 problems\n"
        "  data (line 8): expected text, found 3; put it in quotes\n"
        "  seed (line 9): expected a number of at least 0, found -1\n"
        "  split.test (from --set): expected a number below 1, found 2"
    )


# Spellings


def test_what_is_short_is_the_same_as_what_is_long(minimal: str) -> None:
    long = """\
samples:
  - {name: background, class: bkg, files: [background.root], tree: null, weight: 1.0, selection: null}
  - {name: signal, class: sig, files: [signal.root], weight: 1}
classes:
  bkg: {label: null, signal: false}
  sig: {signal: true}
features:
  - {name: pt, expression: pt, missing: []}
  - {name: mass, expression: null}
spectators: [{name: eta, expression: eta}]
weights: {}
split: {event_id: [event]}
training: {optimizer: {name: adam}, early_stopping: {}}
"""
    short = minimal + "spectators: [eta]\nweights:\nsplit: {event_id: event}\ntraining: {optimizer: adam}"
    assert parse_config(short) == parse_config(long)


def test_text_and_mapping_are_the_same(minimal: str) -> None:
    values = {
        "samples": (
            {"name": "background", "class": "bkg", "files": Path("background.root")},
            {"name": "signal", "class": "sig", "files": [Path("signal.root")]},
        ),
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": ["pt", "mass"],
    }
    assert parse_config(values) == parse_config(minimal)


def test_keys_of_python_are_text(minimal: str) -> None:
    values: dict[Any, Any] = parse_config(minimal).model_dump(by_alias=True)
    values["classes"][1] = {}
    values["training"][2] = 3
    values[3] = 4
    with pytest.raises(ConfigurationError) as caught:
        parse_config(values)
    assert set(caught.value.problems) == {
        Problem("classes[1]", "expected text, found 1; put it in quotes"),
        Problem("training[2]", "expected text as the key, found 2"),
        Problem("[3]", "expected text as the key, found 3"),
    }


@pytest.mark.parametrize(
    ("written", "missing"),
    [
        ("null", None),
        ("[]", None),
        ("-999", (-999.0,)),
        ("[-999, -1e3]", (-999.0, -1000.0)),
        (".inf", (float("inf"),)),
    ],
)
def test_values_that_mean_not_there(minimal: str, written: str, missing: tuple[float, ...] | None) -> None:
    config = parse_config(minimal, overrides=[f"features[0].missing={written}"])
    assert config.features[0].missing == missing


@pytest.mark.parametrize("written", ["nan", ".nan", "NaN", "[.NAN]"])
def test_nan_may_be_declared_in_any_spelling(minimal: str, written: str) -> None:
    config = parse_config(minimal, overrides=[f"features[0].missing={written}"])
    assert config == parse_config(minimal, overrides=["features[0].missing=nan"])
    assert repr(config.features[0].missing) == "(nan,)"


@pytest.mark.parametrize(
    ("written", "optimizer"),
    [
        ("adam", Adam()),
        ("{}", Adam()),
        ("{beta1: 0}", Adam(beta1=0.0)),
        ("adamw", AdamW()),
        ("{name: adamw, weight_decay: 0.1}", AdamW(weight_decay=0.1)),
        ("sgd", Sgd()),
        ("{name: sgd, nesterov: true}", Sgd(nesterov=True)),
    ],
)
def test_optimizers(minimal: str, written: str, optimizer: object) -> None:
    assert parse_config(minimal, overrides=[f"training.optimizer={written}"]).training.optimizer == optimizer


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ("null", None),
        ("{log_density: {bkg: b, sig: s}}", LogDensity(log_density={"bkg": "b", "sig": "s"})),
        ("{discriminant: {sig: s}}", Discriminant(discriminant={"sig": "s"})),
    ],
)
def test_references(minimal: str, written: str, reference: object) -> None:
    assert (
        parse_config(minimal, overrides=[f"evaluation.reference={written}"]).evaluation.reference == reference
    )


def test_a_network_may_have_no_hidden_layer(minimal: str) -> None:
    assert parse_config(minimal + "network: {layers: []}").network.layers == ()


def test_an_expression_may_run_over_several_lines(minimal: str) -> None:
    text = minimal.replace("[pt, mass]", "\n- name: sum\n  expression: >\n    pt\n    + mass\n- mass")
    assert parse_config(text).features[0].expression == "pt + mass"


# The value


def test_names_and_labels_of_classes(minimal: str) -> None:
    config = parse_config(minimal, overrides=["classes.sig.label=SIGNAL"])
    assert config.class_names == ("bkg", "sig")
    assert config.signal_names == ("sig",)
    assert config.class_labels == (None, "SIGNAL")


def test_classes_keep_the_order_of_the_file(minimal: str) -> None:
    text = minimal.replace("  bkg:\n  sig: {signal: true}", "  sig: {signal: true}\n  bkg:")
    assert parse_config(text).class_names == ("sig", "bkg")


@pytest.mark.parametrize("name", ["seed", "samples"])
def test_a_configuration_cannot_be_changed(minimal: str, name: str) -> None:
    config = parse_config(minimal)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, name, None)
    assert isinstance(config.samples, tuple)
    assert isinstance(config.samples[0].files, tuple)
    assert isinstance(config.network.layers, tuple)


def test_a_copy_is_the_same(minimal: str) -> None:
    config = parse_config(minimal + "evaluation: {reference: {discriminant: {sig: d}}}")
    assert copy.deepcopy(config) == config


@pytest.mark.parametrize("patience", [1, 7])
def test_early_stopping_may_be_turned_off(minimal: str, patience: int) -> None:
    on = parse_config(minimal, overrides=[f"training.early_stopping={{patience: {patience}}}"])
    off = parse_config(minimal, overrides=["training.early_stopping=null"])
    assert on.training.early_stopping == EarlyStopping(patience=patience)
    assert off.training.early_stopping is None


# Any value at any path

PATHS: list[KeyPath] = [
    ("name",),
    ("data",),
    ("samples",),
    ("samples", 0),
    ("samples", 0, "class"),
    ("samples", 0, "files"),
    ("samples", 0, "weight"),
    ("samples", 0, "selection"),
    ("classes",),
    ("classes", "bkg"),
    ("classes", "sig", "signal"),
    ("features",),
    ("features", 0),
    ("features", 0, "expression"),
    ("features", 0, "missing"),
    ("spectators",),
    ("weights",),
    ("weights", "balance"),
    ("split", "event_id"),
    ("split", "test"),
    ("network", "layers"),
    ("network", "layers", 0),
    ("training",),
    ("training", "optimizer"),
    ("training", "optimizer", "name"),
    ("training", "devices"),
    ("evaluation", "working_points"),
    ("evaluation", "reference"),
    ("evaluation", "reference", "log_density"),
]
words = st.text(st.characters(), max_size=6) | st.sampled_from(
    ["pt", "bkg", "sig", "name", "type", "adam", "log_density", "signal", "nan", "pt +", "class"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([10**400, 2**31])
    | st.floats()
    | words
    | st.just("\ud800")
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.integers(0, 2), inner, max_size=3),
    max_leaves=8,
)


def put(tree: object, path: KeyPath, value: object) -> object:
    if not path:
        return value
    if isinstance(tree, list | tuple):
        return [
            put(entry, path[1:], value) if index == path[0] else entry for index, entry in enumerate(tree)
        ]
    assert isinstance(tree, dict)
    return {**tree, path[0]: put(tree[path[0]], path[1:], value)}


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PATHS), value=values)
def test_any_value_in_any_place_is_accepted_or_refused(minimal: str, path: KeyPath, value: object) -> None:
    text = minimal + "evaluation: {reference: {log_density: {bkg: a, sig: b}}}"
    plain = put(parse_config(text).model_dump(by_alias=True), path, value)
    assert isinstance(plain, dict)
    try:
        config = parse_config(plain)
    except ConfigurationError as error:
        message = str(error)
        assert message.encode()
    else:
        assert parse_config(config.model_dump(by_alias=True)) == config
