"""The workspace holds the yields, and pyhf finds in it the significance that tamis quotes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tamis.errors import RequestError
from tamis.evaluation.asimov import asimov_significance
from tamis.evaluation.bins import Yields, bin_yields, together
from tamis.evaluation.counts import Counts
from tamis.evaluation.workspace import obstacle, pyhf_workspace

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
    workspace = pyhf_workspace(bin_yields(edges, score, class_index, weight, 3), NAMES, [2], relative=0.1)
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
    negative = bin_yields((0.0, 0.5, 1.0), [0.1, 0.9, 0.9], [0, 0, 1], [-1.0, 2.0, 1.0], 2)
    with pytest.raises(RequestError, match="class bkg has -1 expected events in bin 0 of the score"):
        pyhf_workspace(negative, ("bkg", "sig"), [1])
    empty = bin_yields((0.0, 0.5, 1.0), [0.1, 0.2], [0, 1], [1.0, 2.0], 2)
    assert obstacle(empty, ("bkg", "sig")).startswith("bin 1 of the score holds no events")


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
    background, spread = numbers[:-1].sum(axis=0), np.sqrt((errors[:-1] ** 2).sum(axis=0))
    return [
        Counts(s, b, e, 0.0, 1e6, None)
        for s, b, e in zip(*(x.tolist() for x in (numbers[-1], background, spread)), strict=True)
    ]


WELL_KNOWN = Yields(((60.0, 20.0, 5.0), (40.0, 30.0, 5.0), (5.0, 10.0, 12.0)), ((0.05,) * 3,) * 3)


def test_pyhf_finds_the_same_significance_of_a_background_that_is_known() -> None:
    found = expected_significance(pyhf_workspace(WELL_KNOWN, NAMES, [2]))
    # the formula is exact here; a fit stops at 1e-4
    assert together(counts_of(WELL_KNOWN)) == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize(
    ("relative", "difference"),
    # a measurement with Poisson numbers (the formula) and a factor (1 + r)^theta of a Gaussian theta (pyhf) are the
    # same for small r only: 0.03% apart for 2%, 1.3% for 10%, 8% for 30%
    [(0.02, 0.002), (0.1, 0.02), (0.3, 0.09)],
)
def test_pyhf_finds_nearly_the_same_with_a_systematic_uncertainty(relative: float, difference: float) -> None:
    one = Yields(((60.0,), (40.0,), (30.0,)), ((0.3,),) * 3)
    found = expected_significance(pyhf_workspace(one, NAMES, [2], relative=relative))
    ours = float(asimov_significance(30.0, 100.0, relative * 100))
    assert ours == pytest.approx(found, rel=difference)
    # the tolerance is tight enough to see the uncertainty
    assert max(found, ours) < float(asimov_significance(30.0, 100.0)) * (1 - difference)


@pytest.mark.parametrize(("relative", "difference"), [(0.05, 0.01), (0.2, 0.035)])
def test_pyhf_finds_nearly_the_same_for_bins_with_one_systematic(relative: float, difference: float) -> None:
    found = expected_significance(pyhf_workspace(WELL_KNOWN, NAMES, [2], relative=relative))
    # a formula for what the bins have in common against a fit: 0.9% apart for 5%, 3.2% for 20%
    assert together(counts_of(WELL_KNOWN), relative) == pytest.approx(found, rel=difference)
    assert found < together(counts_of(WELL_KNOWN)) * (1 - difference)


@pytest.mark.parametrize(("error", "difference"), [(3.0, 0.001), (10.0, 0.03)])
def test_pyhf_finds_nearly_the_same_with_a_finite_simulation(error: float, difference: float) -> None:
    # Poisson numbers in the formula, a Gaussian in pyhf: 0.05% apart for 3% of the background, 2.3% for 10% and 20%
    yields = Yields(((100.0, 10.0), (10.0, 10.0)), ((error, error / 5), (0.1, 0.1)))
    found = expected_significance(pyhf_workspace(yields, ("bkg", "sig"), [1]))
    assert together(counts_of(yields)) == pytest.approx(found, rel=difference)
    known = np.hypot(*asimov_significance([10.0, 10.0], [100.0, 10.0]))
    assert found < known * (1 - difference)


def test_classes_without_events_in_a_bin_are_no_error() -> None:
    yields = Yields(((100.0, 10.0), (0.0, 5.0)), ((1.0, 1.0), (0.0, 0.1)))
    assert expected_significance(pyhf_workspace(yields, ("bkg", "sig"), [1])) > 1
