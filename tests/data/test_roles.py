from __future__ import annotations

import pytest

from tamis.data.roles import find_branch_role, find_observed_data_word, is_signal_name


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("generator weight", "genWeight generator_weight mcWeight mcEventWeight Generator_weight mc_weight"),
        ("event weight", "weight eventWeight weight_nominal totalWeight event_wgt"),
        ("weight", "xsec lumiscale weight_jes sum_of_weights"),
        ("scale factor", "btagSF muon_sf scaleFactor_ELE puWeight L1PreFiringWeight_Nom kFactor sf_trigger"),
        ("variation", "btagSFUp btagSF_down puWeightDown L1PreFiringWeight_Dn weight_up btagSF_up_jes"),
        (
            "pile-up",
            "PV_npvs PV_npvsGood nPV nVtx Pileup_nTrueInt averageInteractionsPerCrossing mu_actual pileup",
        ),
        (None, "pt mu mu_pt rho jet_puId update Upsilon_mass n_jets met_jesUp jet_nvertices"),
    ],
)
def test_roles_of_branches(role: str | None, names: str) -> None:
    expected = dict.fromkeys(names.split(), role)
    assert {name: find_branch_role(name) for name in expected} == expected


@pytest.mark.parametrize("up", ["met_jesUp", "met_jes_up", "met_jes_up_total", "METUP"])
def test_a_pair_of_branches_is_a_variation(up: str) -> None:
    down = up.replace("Up", "Down").replace("up", "down").replace("UP", "DOWN")
    assert find_branch_role(up) is None
    assert find_branch_role(up, [up, down]) == find_branch_role(down, [up, down]) == "variation"


@pytest.mark.parametrize(
    "name",
    [
        "data",
        "data_2018",
        "Data",
        "data15_13TeV",
        "MuonData",
        "SingleMuon_Run2018A",
        "EGamma",
        "Run2018A",
        "observed",
        "obs",
    ],
)
def test_names_of_observed_data(name: str) -> None:
    assert find_observed_data_word(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "ttbar",
        "dataset",
        "database",
        "pseudodata",
        "toy_data",
        "asimov_data",
        "data_driven_fakes",
        "mc_data",
        "DoubleElectron_FlatPt",
        "Run2018_ttbar",
        "signal_data",
        "jobs",
        "metadata",
    ],
)
def test_names_that_are_not_of_observed_data(name: str) -> None:
    assert find_observed_data_word(name) is None


def test_folders_called_data_say_nothing() -> None:
    assert find_observed_data_word("ttbar", ["data"]) is None
    assert find_observed_data_word("part_1", ["SingleMuon"]) == "SingleMuon"


@pytest.mark.parametrize(("name", "expected"), [("sig", True), ("m100_signal", True), ("no_signal", False)])
def test_names_of_signals(name: str, expected: bool) -> None:
    assert is_signal_name(name) is expected
