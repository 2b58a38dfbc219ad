"""Roles of branches and files by their names: observed data, signals, weights, corrections and variations, pile-up."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

Role = Literal["generator weight", "event weight", "scale factor", "weight", "variation", "pile-up"]

_GENERATOR_WEIGHT = re.compile(
    r"(?i)^(gen(erator)?|mc|lhe)_?(event|evt)?_?(weight|wgt)(_?nom(inal)?)?$|^LHEWeight_originalXWGTUP$"
)
_EVENT_WEIGHT = re.compile(
    r"(?i)^((event|evt|total|tot|final|full|nominal|physics)_?)*(weight|wgt)"
    r"(_?(nom(inal)?|total|tot|final|event|evt))?$"
)
_SCALE_FACTOR = re.compile(
    r"(?<=[A-Za-z0-9])SFs?(?=$|_|[A-Z])|(?i:(^|_)sfs?($|_)|scale_?factor|(^|_)k_?factor($|_))"
    r"|(?i:(^|_)(pu|pile_?up|l1_?pre_?firing|pre_?fir(e|ing)|top_?pt|z_?pt|b_?tag(ging)?|trig(ger)?|lep(ton)?"
    r"|mu(on)?|el(e|ectron)?|pho(ton)?|tau|id|iso|reco)_?(weight|wgt)(_?nom(inal)?)?$)"
)
_WEIGHT = re.compile(r"(?i)weight|(^|_)(wgt|xsec|crosssection|lumiscale)($|_)")
_PILE_UP = re.compile(
    r"(?i)^(n_?)?pile_?up|^((pv|event|evt)_?)?n_?(good_?)?(pvs?|vtx|vertices|primary_?vertices)(_?good)?$"
    r"|^n_?(true_?)?pu($|_)|n_?true_?int(eractions)?$|int(eractions)?_?per_?(bunch_?)?(crossing|xing)"
    r"|fixedGridRho|^(avg|average|actual|true)_?mu$|^mu_?(avg|average|actual)$"
)
_DIRECTION = re.compile(r"_(up|down|dn)(?=_|$)|(?<=[A-Za-z0-9_])(Up|Down|Dn|UP|DOWN)(?=_|$)")
_OPPOSITE = {
    "up": ("down", "dn"), "Up": ("Down", "Dn"), "UP": ("DOWN",),
    "down": ("up",), "dn": ("up",), "Down": ("Up",), "Dn": ("Up",), "DOWN": ("UP",),
}  # fmt: skip

# columns of the event ID in NanoAOD, DAOD and flat trees, from the coarsest to the finest
_NUMBER = r"_?(number|nr|num|no)?_*$"
_EVENT_ID = tuple(
    re.compile(rf"(?i)^{noun}{_NUMBER}")
    for noun in ("run", "(lumi(nosity)?(_?block|_?section)?|ls)", "(event|evt)(_?id)?")
)

_SIGNAL = re.compile(r"(?i)(^|[^a-z])s(i)?g(nal)?([^a-z]|$)|signal")
_NOT_SIGNAL = re.compile(r"(?i)signal_?-?region|(no|non|anti)_?-?signal")
_SIMULATED = re.compile(
    r"(?i)pseudo|toy|asimov|driven|embed|fake|meta|gun|flat_?pt|(^|[^a-z])(mc|sim|simulat\w*)([^a-z]|$)"
)
_OBSERVED_WORD = re.compile(r"(?i:(?<![a-z])(data|observed|obs)(?![a-z]))|(?<=[a-z])Data(?![a-z])")
# primary datasets of CMS, and its run periods with a letter, which simulation does not have
_OBSERVED_STREAM = re.compile(
    r"(Single|Double)(Muon|Mu|Electron|Ele|EG|Photon)(?![a-z])|MuonEG|MuEG|EGamma|JetHT|HTMHT|JetMET|BTagMu|BTagCSV"
    r"|ZeroBias|Charmonium|MuOnia|Parking[A-Z]\w*?(?=[_.-]|$)|(?<![A-Za-z])Run20\d\d[A-Z](?![A-Za-z])"
)


def find_branch_role(name: str, names: Collection[str] = ()) -> Role | None:
    """Return the role of a branch by its name; None if the name indicates no role.

    A branch whose opposite variation is among all `names` is a variation.

    >>> [find_branch_role(name) for name in ("genWeight", "eventWeight", "btagSF", "btagSFUp", "PV_npvs", "pt")]
    ['generator weight', 'event weight', 'scale factor', 'variation', 'pile-up', None]
    >>> find_branch_role("met_jesUp"), find_branch_role("met_jesUp", ["met_jesUp", "met_jesDown"])
    (None, 'variation')
    """
    if find_nominal_branch(name, names) is not None:
        return "variation"
    return _nominal_role(name)


def find_nominal_branch(name: str, names: Collection[str] = ()) -> str | None:
    """Return the nominal branch of an up or down variation; None if a branch is not a variation.

    >>> find_nominal_branch("btagSF_up_jes"), find_nominal_branch("pileup")
    ('btagSF_jes', None)
    """
    for match in _DIRECTION.finditer(name):
        direction = match[1] or match[2]
        start, end = match.span(1 if match[1] else 2)
        base = (name[:start].rstrip("_") + name[end:]) or name
        opposites = (name[:start] + opposite + name[end:] for opposite in _OPPOSITE[direction])
        if _nominal_role(base) not in (None, "pile-up") or any(opposite in names for opposite in opposites):
            return base
    return None


def find_event_id_branches(names: Collection[str]) -> tuple[str, ...]:
    """Return the integer branches that together identify an event, by their names; empty without an event number.

    >>> find_event_id_branches(["event", "pt", "lumi", "run"]), find_event_id_branches(["run", "lumi"])
    (('run', 'lumi', 'event'), ())
    """
    branches = [next((name for name in names if pattern.search(name)), None) for pattern in _EVENT_ID]
    return () if branches[-1] is None else tuple(name for name in branches if name is not None)


def _nominal_role(name: str) -> Role | None:
    patterns: tuple[tuple[re.Pattern[str], Role], ...] = (
        (_GENERATOR_WEIGHT, "generator weight"),
        (_EVENT_WEIGHT, "event weight"),
        (_SCALE_FACTOR, "scale factor"),
        (_WEIGHT, "weight"),
        (_PILE_UP, "pile-up"),
    )
    return next((role for pattern, role in patterns if pattern.search(name)), None)


def is_signal_name(name: str) -> bool:
    """Return whether a name indicates a signal.

    >>> [is_signal_name(name) for name in ("sig_Events", "signal_m100", "ttbar_signal_region", "design")]
    [True, True, False, False]
    """
    return _SIGNAL.search(_NOT_SIGNAL.sub(" ", name)) is not None


def find_observed_data_word(stem: str, folders: Collection[str] = ()) -> str | None:
    """Return the word in the name of a file that indicates observed data; None if there is none.

    In the names of its folders only primary datasets and run periods count: simulation may be in folders called data,
    too.

    >>> [find_observed_data_word(name) for name in ("data_2018", "SingleMuon_Run2018A", "dataset", "data_driven_fakes")]
    ['data', 'SingleMuon', None, None]
    """
    if _SIMULATED.search(stem) or is_signal_name(stem):
        return None
    match = _OBSERVED_WORD.search(stem) or _OBSERVED_STREAM.search(stem)
    match = match or next((match for name in folders if (match := _OBSERVED_STREAM.search(name))), None)
    return None if match is None else match[0]
