"""What a name says: observed data, a signal, a weight, a correction with its variations, pile-up."""

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
_OPPOSITE = {"up": ("down", "dn"), "Up": ("Down", "Dn"), "UP": ("DOWN",)} | {
    name: (up,)
    for up, names in (("up", ("down", "dn")), ("Up", ("Down", "Dn")), ("UP", ("DOWN",)))
    for name in names
}

_SIGNAL = re.compile(r"(?i)(^|[^a-z])s(i)?g(nal)?([^a-z]|$)|signal")
_NOT_SIGNAL = re.compile(r"(?i)signal_?-?region|(no|non|anti)_?-?signal")
_SIMULATED = re.compile(
    r"(?i)pseudo|toy|asimov|driven|embed|fake|meta|gun|flat_?pt|(^|[^a-z])(mc|sim|simulat\w*)([^a-z]|$)"
)
_OBSERVED_WORD = re.compile(r"(?i:(?<![a-z])(data|observed|obs)(?![a-z]))|(?<=[a-z])Data(?![a-z])")
# primary datasets of CMS, and its run periods with their letter, which no simulation has
_OBSERVED_STREAM = re.compile(
    r"(Single|Double)(Muon|Mu|Electron|Ele|EG|Photon)(?![a-z])|MuonEG|MuEG|EGamma|JetHT|HTMHT|JetMET|BTagMu|BTagCSV"
    r"|ZeroBias|Charmonium|MuOnia|Parking[A-Z]\w*?(?=[_.-]|$)|(?<![A-Za-z])Run20\d\d[A-Z](?![A-Za-z])"
)


def branch_role(name: str, others: Collection[str] = ()) -> Role | None:
    """Return what a branch is by its name, None where the name says none of these.

    Args:
        name: of the branch.
        others: all branches; where the opposite variation is among them, any branch is a variation.

    >>> [branch_role(name) for name in ("genWeight", "eventWeight", "btagSF", "btagSFUp", "PV_npvs", "pt")]
    ['generator weight', 'event weight', 'scale factor', 'variation', 'pile-up', None]
    >>> branch_role("met_jesUp"), branch_role("met_jesUp", ["met_jesUp", "met_jesDown"])
    (None, 'variation')
    """
    if varied_branch(name, others) is not None:
        return "variation"
    return _nominal_role(name)


def varied_branch(name: str, others: Collection[str] = ()) -> str | None:
    """Return the name of what a branch is an up or down variation of, None where it is not a variation.

    >>> varied_branch("btagSF_up_jes"), varied_branch("pileup")
    ('btagSF_jes', None)
    """
    for match in _DIRECTION.finditer(name):
        direction = match[1] or match[2]
        start, end = match.span(1 if match[1] else 2)
        base = (name[:start].rstrip("_") + name[end:]) or name
        opposites = (name[:start] + other + name[end:] for other in _OPPOSITE[direction])
        if _nominal_role(base) not in (None, "pile-up") or any(other in others for other in opposites):
            return base
    return None


def _nominal_role(name: str) -> Role | None:
    patterns: tuple[tuple[re.Pattern[str], Role], ...] = (
        (_GENERATOR_WEIGHT, "generator weight"),
        (_EVENT_WEIGHT, "event weight"),
        (_SCALE_FACTOR, "scale factor"),
        (_WEIGHT, "weight"),
        (_PILE_UP, "pile-up"),
    )
    return next((role for pattern, role in patterns if pattern.search(name)), None)


def names_signal(name: str) -> bool:
    """Return whether a name says signal.

    >>> [names_signal(name) for name in ("sig_Events", "signal_m100", "ttbar_signal_region", "design")]
    [True, True, False, False]
    """
    return _SIGNAL.search(_NOT_SIGNAL.sub(" ", name)) is not None


def observed_data_word(stem: str, folders: Collection[str] = ()) -> str | None:
    """Return the word in the name of a file that says observed data, None where there is none.

    Args:
        stem: name of the file.
        folders: names of its folders; only the names of primary datasets and run periods count there, since
            simulation, too, is kept in folders called data.

    >>> [observed_data_word(name) for name in ("data_2018", "SingleMuon_Run2018A", "dataset", "data_driven_fakes")]
    ['data', 'SingleMuon', None, None]
    """
    if _SIMULATED.search(stem) or names_signal(stem):
        return None
    match = _OBSERVED_WORD.search(stem) or _OBSERVED_STREAM.search(stem)
    match = match or next((match for name in folders if (match := _OBSERVED_STREAM.search(name))), None)
    return None if match is None else match[0]
