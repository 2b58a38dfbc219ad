"""Facts across fields, each broken alone."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tamis.config import Config, parse_config
from tamis.config.consistency import find_inconsistencies
from tamis.errors import ConfigurationError, Problem

COMPLETE = """\
samples:
  - name: background
    class: bkg
    files: [a.root, b.root]
    weight: w * 2
  - name: signal
    class: sig
    files: c.root
    selection: pt > 20
classes:
  bkg: {label: BKG}
  sig: {signal: true}
features:
  - pt
  - {name: abs_eta, expression: abs(eta)}
spectators: [mass]
weights:
  balance: {bkg: 2}
split:
  event_id: [run, event]
evaluation:
  reference:
    log_density: {bkg: log(p_bkg), sig: log(p_sig)}
"""
TOO_EARLY = "the expression ends too early: a branch, a number, a function or a bracket is expected here"


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text)
    return list(caught.value.problems)


def test_the_configuration_that_is_broken_below_is_right() -> None:
    assert parse_config(COMPLETE).split.event_id == ("run", "event")


BROKEN = [
    ("class: bkg", "class: bgk", "samples[0].class", "there is no class 'bgk'; did you mean 'bkg'?", 3),
    ("class: bkg", "class: x", "samples[0].class", "there is no class 'x'; the classes are 'bkg', 'sig'", 3),
    (
        "class: bkg",
        "class: sig",
        "classes.bkg",
        "no sample has the class 'bkg'; add one, or remove the class",
        11,
    ),
    (
        "name: signal",
        "name: background",
        "samples[1].name",
        "the name 'background' is already used by samples[0]; names of samples must differ",
        6,
    ),
    (
        "b.root",
        "a.root",
        "samples[0].files[1]",
        "the file 'a.root' is listed twice in this sample; its events would count twice",
        4,
    ),
    (
        "{signal: true}",
        "{}",
        "classes",
        "no class is marked as signal; mark at least one, the one that you search for: `NAME: {signal: true}`",
        10,
    ),
    (
        "{label: BKG}",
        "{signal: true}",
        "classes",
        "every class is marked as signal; at least one must be a background",
        10,
    ),
    (
        "name: abs_eta",
        "name: pt",
        "features[1].name",
        "the name 'pt' is already used by features[0]; names of features and spectators must differ",
        15,
    ),
    (
        "[mass]",
        "[mass, pt]",
        "spectators[1]",
        "the name 'pt' is already used by features[0]; names of features and spectators must differ",
        16,
    ),
    ("{bkg: 2}", "{bgk: 2}", "weights.balance.bgk", "there is no class 'bgk'; did you mean 'bkg'?", 18),
    (
        "bkg: log(p_bkg), ",
        "",
        "evaluation.reference.log_density",
        "expected an expression for every class, but there is none for 'bkg'",
        23,
    ),
    (
        "{bkg: log(p_bkg),",
        "{bkg: log(p_bkg), sgi: x,",
        "evaluation.reference.log_density.sgi",
        "there is no class 'sgi'; did you mean 'sig'?",
        23,
    ),
    (
        "log_density: {bkg: log(p_bkg),",
        "discriminant: {bgk: x,",
        "evaluation.reference.discriminant.bgk",
        "there is no class 'bgk'; did you mean 'bkg'?",
        23,
    ),
    # expressions
    ("w * 2", "w *", "samples[0].weight", f"{TOO_EARLY}\n      w *\n         ^", 5),
    ("pt > 20", "pt >", "samples[1].selection", f"{TOO_EARLY}\n      pt >\n          ^", 9),
    ("- pt", "- pt +", "features[0]", f"{TOO_EARLY}\n      pt +\n          ^", 14),
    ("abs(eta)", "eta -", "features[1].expression", f"{TOO_EARLY}\n      eta -\n           ^", 15),
    (
        "{name: abs_eta, expression: abs(eta)}",
        "{name: eta -}",
        "features[1].name",
        f"{TOO_EARLY}\n      eta -\n           ^",
        15,
    ),
    ("[mass]", "[mass -]", "spectators[0]", f"{TOO_EARLY}\n      mass -\n            ^", 16),
    (
        "[run, event]",
        "[run, event %]",
        "split.event_id[1]",
        f"{TOO_EARLY}\n      event %\n             ^",
        20,
    ),
    ("[run, event]", "event %", "split.event_id", f"{TOO_EARLY}\n      event %\n             ^", 20),
    (
        "log(p_sig)",
        "p_sig /",
        "evaluation.reference.log_density.sig",
        f"{TOO_EARLY}\n      p_sig /\n             ^",
        23,
    ),
    (
        "abs(eta)",
        "3 + 4",
        "features[1].expression",
        "this expression has no branch, so it is the same for every event",
        15,
    ),
    (
        "[run, event]",
        "[run, 3 + 4]",
        "split.event_id[1]",
        "this expression has no branch, so it is the same for every event",
        20,
    ),
    # what the network must not see
    (
        "abs(eta)",
        "(w*2)",
        "features[1].expression",
        "this is the same as samples[0].weight, which the network must not see; remove the feature",
        15,
    ),
    (
        "- pt",
        "- event",
        "features[0]",
        "this is the same as split.event_id[1], which the network must not see; remove the feature",
        14,
    ),
    (
        "abs(eta)",
        "log( p_sig )",
        "features[1].expression",
        "this is the same as evaluation.reference.log_density.sig, which the network must not see; "
        "remove the feature",
        15,
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "where", "message", "line"), BROKEN, ids=[f"{case[0]} -> {case[1]}" for case in BROKEN]
)
def test_a_broken_fact_is_the_one_problem(old: str, new: str, where: str, message: str, line: int) -> None:
    assert COMPLETE.count(old) == 1
    assert problems_of(COMPLETE.replace(old, new)) == [Problem(where, message, line)]


def test_a_spectator_may_be_the_weight() -> None:
    assert parse_config(COMPLETE.replace("[mass]", "[w]")).spectators[0].expression == "w"


def test_a_constant_weight_is_no_secret() -> None:
    text = COMPLETE.replace("w * 2", "2.0")
    assert parse_config(text).samples[0].weight == 2.0


def test_facts_are_checked_beside_wrong_values() -> None:
    text = COMPLETE.replace("class: bkg", "class: bgk").replace("- pt", "- pt +") + "seed: -1\n"
    assert [problem.where for problem in problems_of(text)] == ["samples[0].class", "features[0]", "seed"]


def test_a_wrong_type_hides_only_what_depends_on_it() -> None:
    text = COMPLETE.replace("{label: BKG}", "3").replace("b.root", "a.root")
    assert [problem.where for problem in problems_of(text)] == ["samples[0].files[1]", "classes.bkg"]


def test_the_model_itself_refuses_contradictions() -> None:
    values = parse_config(COMPLETE).model_dump(by_alias=True)
    values["samples"][0]["class"] = "bgk"
    with pytest.raises(ValidationError, match=r"samples\[0\]\.class: there is no class 'bgk'"):
        Config.model_validate(values)


# names of features in other sections
SYMMETRIC = """\
samples:
  - {name: background, class: bkg, files: a.root}
  - {name: signal, class: sig, files: b.root}
classes: {bkg: {}, sig: {signal: true}}
features:
  - pt
  - {name: phi_1, missing: -999}
  - phi_2
  - eta_1
  - eta_2
spectators: [mass]
preprocessing:
  logarithm: [pt]
training:
  symmetries:
    - type: rotation
      features: [phi_1, phi_2]
    - {type: reflection, features: [eta_1, eta_2]}
    - type: exchange
      objects:
        - [phi_1, eta_1]
        - [phi_2, eta_2]
"""


def test_symmetries_and_logarithms_name_features() -> None:
    config = parse_config(SYMMETRIC)
    assert config.preprocessing.logarithm == ("pt",)
    assert [section.type for section in config.training.symmetries] == ["rotation", "reflection", "exchange"]


@pytest.mark.parametrize(
    ("old", "new", "where", "message", "line"),
    [
        ("[pt]", "[ptt]", "preprocessing.logarithm[0]", "there is no feature 'ptt'; did you mean 'pt'?", 13),
        (
            "[pt]",
            "[mass]",
            "preprocessing.logarithm[0]",
            "there is no feature 'mass'; the features are 'pt', 'phi_1', 'phi_2', 'eta_1', 'eta_2'",
            13,
        ),
        (
            "[pt]",
            "[eta_1, pt, eta_1]",
            "preprocessing.logarithm[2]",
            "the feature 'eta_1' is already listed at preprocessing.logarithm[0]; remove it",
            13,
        ),
        (
            "features: [phi_1, phi_2]",
            "features: [phi_1, phi2]",
            "training.symmetries[0].features[1]",
            "there is no feature 'phi2'; did you mean 'phi_2'?",
            17,
        ),
        (
            "features: [eta_1, eta_2]",
            "features: [eta_1, eta_2, eta_1]",
            "training.symmetries[1].features[2]",
            "the feature 'eta_1' is already listed at training.symmetries[1].features[0]; remove it",
            18,
        ),
        (
            "- [phi_2, eta_2]",
            "- [phi_2, eta]",
            "training.symmetries[2].objects[1][1]",
            "there is no feature 'eta'; did you mean 'eta_2'?",
            22,
        ),
        (
            "- [phi_2, eta_2]",
            "- [phi_2, phi_1]",
            "training.symmetries[2].objects[1][1]",
            "the feature 'phi_1' is already listed at training.symmetries[2].objects[0][0]; remove it",
            22,
        ),
        (
            "type: reflection, features: [eta_1, eta_2]",
            "type: rotation, features: [eta_1, phi_2]",
            "training.symmetries[1].features[1]",
            "the feature 'phi_2' is already used by the rotation training.symmetries[0]; list all features that "
            "belong together in one rotation",
            18,
        ),
        (
            "{type: reflection, features: [eta_1, eta_2]}",
            "{type: exchange, objects: [[eta_2], [pt]]}",
            "training.symmetries[2].objects[1][1]",
            "the feature 'eta_2' is already used by the exchange training.symmetries[1]; list all features that "
            "belong together in one exchange",
            22,
        ),
    ],
)
def test_a_wrong_name_of_a_feature_is_the_one_problem(
    old: str, new: str, where: str, message: str, line: int
) -> None:
    assert SYMMETRIC.count(old) == 1
    assert problems_of(SYMMETRIC.replace(old, new)) == [Problem(where, message, line)]


def test_reflections_may_share_features() -> None:
    text = SYMMETRIC.replace(
        "- type: exchange", "- {type: reflection, features: [phi_1, phi_2, eta_2]}\n    - type: exchange"
    )
    assert len(parse_config(text).training.symmetries) == 4


def test_a_feature_without_a_readable_name_hides_what_names_it() -> None:
    text = SYMMETRIC.replace("- phi_2", "- {name: 3}")
    assert [problem.where for problem in problems_of(text)] == ["features[2].name"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("{type: sparse, nodes: 4, density: 0.3}", "give a density of at least 0.5"),
        ("{type: sparse, nodes: 4, fan_in: 3}", "lower fan_in"),
        (
            "{type: quantized, nodes: 4, activation: relu, weight: {bits: 16, integer: 6}, "
            "input: {bits: 16, integer: 6}}",
            "32-bit floating point is exact up to",
        ),
    ],
)
def test_a_first_layer_fits_the_features(minimal: str, layer: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"network\.layers\[0\].*{message}"):
        parse_config(f"{minimal}network: {{layers: [{layer}]}}\n")
    # an embedding makes more inputs, and they are only known later
    if "sparse" in layer:
        parse_config(f"{minimal}network: {{layers: [{layer}], embedding: {{type: periodic}}}}\n")


def test_a_missing_rule_may_bring_another_input(minimal: str) -> None:
    features = minimal.replace("[pt, mass]", "[pt, {name: mass, missing: -999}]")
    parse_config(f"{features}network: {{layers: [{{type: sparse, nodes: 4, fan_in: 3}}]}}\n")


def test_one_output_has_two_classes(minimal: str) -> None:
    three = minimal.replace("  bkg:\n", "  bkg:\n  other:\n").replace(
        "samples:\n", "samples:\n  - {name: other, class: other, files: other.root}\n"
    )
    with pytest.raises(ConfigurationError):
        parse_config(f"{three}training: {{loss: binary_cross_entropy}}\n")
    parse_config(f"{minimal}training: {{loss: binary_cross_entropy}}\n")


def test_baselines_that_cannot_be_are_refused_with_their_places(minimal: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(f"{minimal}\nevaluation: {{baselines: [xgbost, cuts, logistic, cuts]}}\n")
    first, second = caught.value.problems
    assert first.where == "evaluation.baselines[0]"
    assert "expected one of xgboost, logistic, cuts; found the text 'xgbost'; did you mean 'xgboost'?" in (
        first.message
    )
    assert second.where == "evaluation.baselines[3]"
    assert second.message == "the baseline 'cuts' is listed twice; remove it here"


@pytest.mark.parametrize("flag", ["true", "false"])
def test_cuts_need_a_signal_and_a_background(minimal: str, flag: str) -> None:
    overrides = [f"classes.{name}.signal={flag}" for name in parse_config(minimal).class_names]
    with pytest.raises(ConfigurationError):
        parse_config(minimal, overrides=[*overrides, "evaluation.baselines=[cuts]"])


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        (
            {"bgk": 0.1},
            "evaluation.background_uncertainty.bgk",
            "there is no class 'bgk'; did you mean 'bkg'?",
        ),
        (
            {"bkg": 0.1, "sig": 0.1},
            "evaluation.background_uncertainty.sig",
            "class 'sig' is signal; only backgrounds have an uncertainty",
        ),
        (
            {},
            "evaluation.background_uncertainty",
            "expected a number for every background, but there is none for 'bkg'; "
            "write 0 for a background without uncertainty",
        ),
    ],
)
def test_uncertainties_are_those_of_the_backgrounds(
    given: dict[str, float], place: str, message: str
) -> None:
    classes = {"bkg": None, "sig": {"signal": True}}
    values = {"classes": classes, "evaluation": {"background_uncertainty": given}}
    found = {".".join(map(str, each.path)): each.message for each in find_inconsistencies(values)}
    assert found[place] == message
    values["evaluation"] = {"background_uncertainty": {"bkg": 0.1}}
    assert not [each for each in find_inconsistencies(values) if each.path[0] == "evaluation"]


DECORRELATED = """\
samples:
  - {name: background, class: bkg, files: a.root}
  - {name: signal, class: sig, files: b.root}
classes: {bkg: {}, sig: {signal: true}}
features: [pt, {name: energy, expression: "pt * cosh(eta)"}]
spectators: [mass, {name: visible, expression: "pt*cosh( eta )"}]
training:
  decorrelate:
    spectators: [mass]
    classes: [bkg]
"""


@pytest.mark.parametrize(
    ("old", "new", "where", "part"),
    [
        ("[mass]", "[mas]", "spectators[0]", "did you mean 'mass'"),
        ("[mass]", "[pt]", "spectators[0]", "'pt'"),
        ("[mass]", "[mass, visible]", "spectators[1]", "'energy'"),
        ("[mass]", "[mass, mass]", "spectators[1]", "spectators[0]"),
        ("[bkg]", "[bgk]", "classes[0]", "did you mean 'bkg'"),
        ("[bkg]", "[bkg, bkg]", "classes[1]", "classes[0]"),
    ],
)
def test_decorrelation_names_spectators_and_classes(old: str, new: str, where: str, part: str) -> None:
    assert parse_config(DECORRELATED).training.decorrelate is not None
    assert DECORRELATED.count(f": {old}") == 1
    (problem,) = problems_of(DECORRELATED.replace(f": {old}", f": {new}"))
    assert problem.where == f"training.decorrelate.{where}"
    assert part in problem.message


def test_a_spectator_whose_name_is_no_text_is_reported_by_its_place() -> None:
    broken = DECORRELATED.replace("spectators: [mass, {name: visible", "spectators: [mass, {name: [visible]")
    assert [problem.where for problem in problems_of(broken)] == ["spectators[1].name"]
