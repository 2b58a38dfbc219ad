"""The workspace holds the yields, and pyhf finds in it the significance that tamis quotes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tamis.errors import RequestError
from tamis.statistics.bins import Yields, combine_significances, count_yields
from tamis.statistics.counts import Counts
from tamis.studies.discovery.workspace import build_pyhf_workspace, explain_no_workspace

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    pyhf = pytest.importorskip("pyhf")

# what pyhf uses of jsonschema will be removed there one day
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")

NAMES = ("top <img src=x onerror=alert(1)>", "wjets", "higgs")


def test_a_workspace_holds_the_yields() -> None:
    rng = np.random.default_rng(5)
    # many scores are edges: a bin holds its lower one, and the last bin its upper one too
    score = rng.integers(0, 11, 500) / 10
    class_index, weight = rng.integers(0, 3, 500), rng.uniform(0.5, 1.5, 500)
    edges = (0.0, 0.3, 0.8, 1.0)
    workspace = build_pyhf_workspace(
        count_yields(edges, score, class_index, weight, 3), NAMES, [2], relative=0.1
    )
    samples = workspace["channels"][0]["samples"]
    for index, (name, sample) in enumerate(zip(NAMES, samples, strict=True)):
        inside = class_index == index
        assert sample["name"] == name
        expected, _ = np.histogram(score[inside], edges, weights=weight[inside])
        np.testing.assert_allclose(sample["data"], expected)
        errors, _ = np.histogram(score[inside], edges, weights=weight[inside] ** 2)
        np.testing.assert_allclose(sample["modifiers"][0]["data"], np.sqrt(errors))
    assert [sample["modifiers"][1]["type"] for sample in samples] == ["normsys", "normsys", "normfactor"]
    total = np.sum([sample["data"] for sample in samples], axis=0)
    np.testing.assert_allclose(workspace["observations"][0]["data"], total)


def test_what_histfactory_does_not_take_is_refused() -> None:
    negative = count_yields((0.0, 0.5, 1.0), [0.1, 0.9, 0.9], [0, 0, 1], [-1.0, 2.0, 1.0], 2)
    with pytest.raises(RequestError):
        build_pyhf_workspace(negative, ("bkg", "sig"), [1])
    empty = count_yields((0.0, 0.5, 1.0), [0.1, 0.2], [0, 1], [1.0, 2.0], 2)
    assert explain_no_workspace(empty, ("bkg", "sig")).startswith("bin 1 of the score holds no events")


def expected_significance(workspace: dict[str, Any]) -> float:
    """Let pyhf check the workspace, and fit signal and background to the Asimov data of mu = 1."""
    pyhf.schema.validate(workspace, "workspace.json")
    loaded = pyhf.Workspace(workspace)
    model = loaded.model()
    data = loaded.data(model)
    suggested = model.config.suggested_init(), model.config.suggested_bounds(), model.config.suggested_fixed()
    return float(np.sqrt(pyhf.infer.test_statistics.q0(0.0, data, model, *suggested)))


def counts_of(yields: Yields) -> list[Counts]:
    """Give signal and background of each bin; the last class is the signal."""
    numbers, errors = np.array(yields.numbers), np.array(yields.errors)
    return [
        Counts(
            float(of_bin[-1]),
            float(of_bin[:-1].sum()),
            float(np.hypot.reduce(spread[:-1])),
            0.0,
            1e6,
            None,
            tuple(
                (b, e**2, 0.0, 0.0) for b, e in zip(of_bin[:-1].tolist(), spread[:-1].tolist(), strict=True)
            ),
        )
        for of_bin, spread in zip(numbers.T, errors.T, strict=True)
    ]


WELL_KNOWN = Yields(((60.0, 20.0, 5.0), (40.0, 30.0, 5.0), (5.0, 10.0, 12.0)), ((0.05,) * 3,) * 3)
SPREAD = Yields(
    WELL_KNOWN.numbers, tuple(tuple(0.29 * n for n in of_class) for of_class in WELL_KNOWN.numbers)
)


@pytest.mark.parametrize("yields", [WELL_KNOWN, SPREAD], ids=["simulated well", "simulated to 29%"])
@pytest.mark.parametrize("relative", [0.0, 0.02, 0.3, (0.05, 0.2)])
def test_pyhf_finds_the_same_significance(yields: Yields, relative: float | tuple[float, float]) -> None:
    found = expected_significance(build_pyhf_workspace(yields, NAMES, [2], relative=relative))
    # the likelihood is the same; a fit stops at 1e-4
    assert combine_significances(counts_of(yields), relative) == pytest.approx(found, rel=2e-3)
    # the tolerance is tight enough to see the uncertainties
    if relative or yields is SPREAD:
        assert found < combine_significances(counts_of(WELL_KNOWN)) * (1 - 2e-3)


def test_pyhf_finds_the_same_of_single_bins() -> None:
    yields = Yields(((100.0, 10.0), (10.0, 10.0)), ((29.0, 2.0), (0.1, 0.1)))
    for place, counts in enumerate(counts_of(yields)):
        single = Yields(*(tuple((row[place],) for row in rows) for rows in (yields.numbers, yields.errors)))
        found = expected_significance(build_pyhf_workspace(single, ("bkg", "sig"), [1], relative=0.3))
        assert combine_significances([counts], 0.3) == pytest.approx(found, rel=2e-3)


def test_the_uncertainty_of_each_background_is_a_parameter_of_its_own() -> None:
    workspace = build_pyhf_workspace(WELL_KNOWN, NAMES, [2], relative=(0.1, 0.2))
    modifiers = [sample["modifiers"][1] for sample in workspace["channels"][0]["samples"]]
    assert [each["name"] for each in modifiers] == [f"background_{NAMES[0]}", "background_wjets", "mu"]
    assert [each["data"]["hi"] for each in modifiers[:2]] == [1.1, 1.2]


def test_classes_without_events_in_a_bin_are_no_error() -> None:
    yields = Yields(((100.0, 10.0), (0.0, 5.0)), ((1.0, 1.0), (0.0, 0.1)))
    assert expected_significance(build_pyhf_workspace(yields, ("bkg", "sig"), [1])) > 1
