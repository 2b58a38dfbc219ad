"""The functions of expressions: nothing outside this list can be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tamis.expressions.tree import FunctionName


@dataclass(frozen=True)
class Function:
    """One function of the language, for arrays of 64-bit integers and floats, with a line on its result.

    It takes any number of further arguments if `more` is set.
    """

    arguments: tuple[str, ...]
    description: str
    compute: Callable[..., Any]
    more: bool = False

    @property
    def signature(self) -> str:
        """The arguments in brackets, as documentation writes them."""
        return f"({', '.join((*self.arguments, *(['...'] if self.more else [])))})"

    def accepts(self, count: int) -> bool:
        """Return whether the function accepts a number of arguments."""
        return count >= len(self.arguments) if self.more else count == len(self.arguments)


def _floating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function to compute with 64-bit floats."""
    return lambda *arguments: function(*(values.astype(np.float64) for values in arguments))


def _rounding(function: np.ufunc) -> Callable[[npt.NDArray[Any]], Any]:
    """Wrap a function to leave integers unchanged."""
    return lambda values: values if values.dtype.kind == "i" else function(values)


def _delta_phi(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> Any:
    """Compute the difference of two angles in [-pi, pi]; differences in this range are not changed by rounding."""
    difference = first - second
    turns = np.floor((difference + np.pi) / (2 * np.pi))
    return np.clip(difference - 2 * np.pi * turns, -np.pi, np.pi)


_X = ("x",)
_TWO = ("a", "b")
_OF_MORE = "of two or more values; NaN where one of them is"

FUNCTIONS: Mapping[FunctionName, Function] = MappingProxyType(
    {
        "abs": Function(_X, "absolute value", np.abs),
        "sqrt": Function(_X, "square root", _floating(np.sqrt)),
        "exp": Function(_X, "e to the power x", _floating(np.exp)),
        "log": Function(_X, "natural logarithm", _floating(np.log)),
        "log10": Function(_X, "logarithm to base 10", _floating(np.log10)),
        "log2": Function(_X, "logarithm to base 2", _floating(np.log2)),
        "log1p": Function(_X, "log(1 + x), exact for small x", _floating(np.log1p)),
        "expm1": Function(_X, "exp(x) - 1, exact for small x", _floating(np.expm1)),
        "sin": Function(_X, "sine of an angle in radians", _floating(np.sin)),
        "cos": Function(_X, "cosine of an angle in radians", _floating(np.cos)),
        "tan": Function(_X, "tangent of an angle in radians", _floating(np.tan)),
        "asin": Function(_X, "inverse sine, in radians", _floating(np.arcsin)),
        "acos": Function(_X, "inverse cosine, in radians", _floating(np.arccos)),
        "atan": Function(_X, "inverse tangent, in radians", _floating(np.arctan)),
        "atan2": Function(("y", "x"), "angle of the point (x, y), from -pi to pi", _floating(np.arctan2)),
        "sinh": Function(_X, "hyperbolic sine", _floating(np.sinh)),
        "cosh": Function(_X, "hyperbolic cosine", _floating(np.cosh)),
        "tanh": Function(_X, "hyperbolic tangent", _floating(np.tanh)),
        "asinh": Function(_X, "inverse hyperbolic sine", _floating(np.arcsinh)),
        "acosh": Function(_X, "inverse hyperbolic cosine", _floating(np.arccosh)),
        "atanh": Function(_X, "inverse hyperbolic tangent", _floating(np.arctanh)),
        "min": Function(_TWO, f"smallest {_OF_MORE}", lambda *values: reduce(np.minimum, values), more=True),
        "max": Function(_TWO, f"largest {_OF_MORE}", lambda *values: reduce(np.maximum, values), more=True),
        "pow": Function(_TWO, "a to the power b, the same as a ** b", _floating(np.power)),
        "hypot": Function(_TWO, "sqrt(a * a + b * b) without overflow", _floating(np.hypot)),
        "floor": Function(_X, "largest whole number not above x", _rounding(np.floor)),
        "ceil": Function(_X, "smallest whole number not below x", _rounding(np.ceil)),
        "round": Function(_X, "nearest whole number; halves go to the even one", _rounding(np.rint)),
        "sign": Function(_X, "-1, 0 or 1", np.sign),
        "isnan": Function(_X, "whether x is NaN", np.isnan),
        "isfinite": Function(_X, "whether x is neither NaN nor infinite", np.isfinite),
        "where": Function(("c", "a", "b"), "a where c is true, b elsewhere, the same as c ? a : b", np.where),
        "clip": Function(
            ("x", "low", "high"),
            "x, but not below low and not above high",
            lambda x, low, high: np.minimum(np.maximum(x, low), high),
        ),
        "delta_phi": Function(_TWO, "a - b for two angles, brought into [-pi, pi]", _floating(_delta_phi)),
        "pi": Function((), "3.14159...", lambda: np.pi),
    }
)
"""Every function of the language by its name."""

_INVERSE: tuple[FunctionName, ...] = ("asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh")
_PLAIN: Mapping[str, FunctionName] = {"fabs": "abs", **{f"arc{name[1:]}": name for name in _INVERSE}}
_TMATH: Mapping[str, FunctionName] = {
    "Abs": "abs", "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Log10": "log10", "Log2": "log2",
    "Sin": "sin", "Cos": "cos", "Tan": "tan", "ASin": "asin", "ACos": "acos", "ATan": "atan",
    "ATan2": "atan2", "SinH": "sinh", "CosH": "cosh", "TanH": "tanh", "ASinH": "asinh",
    "ACosH": "acosh", "ATanH": "atanh", "Min": "min", "Max": "max", "Power": "pow",
    "Hypot": "hypot", "Floor": "floor", "Ceil": "ceil", "Nint": "round", "IsNaN": "isnan",
    "Finite": "isfinite", "Pi": "pi",
}  # fmt: skip
_UNSHARED = ("min", "max", "round", "sign", "where", "clip", "delta_phi", "pi")
_SHARED: Mapping[str, FunctionName] = {name: name for name in FUNCTIONS if name not in _UNSHARED}
_STD: Mapping[str, FunctionName] = {**_SHARED, "fabs": "abs", "min": "min", "max": "max", "clamp": "clip"}
_SAME_IN_NUMPY: tuple[FunctionName, ...] = ("round", "sign", "where", "clip")
_NUMPY: Mapping[str, FunctionName] = {
    **_SHARED,
    **_PLAIN,
    **{name: name for name in _SAME_IN_NUMPY},
    **{"absolute": "abs", "minimum": "min", "maximum": "max", "power": "pow", "rint": "round"},
}

ALIASES: Mapping[str, FunctionName] = MappingProxyType(
    {
        **{name: name for name in FUNCTIONS},
        **_PLAIN,
        **{f"TMath::{name}": meaning for name, meaning in _TMATH.items()},
        **{f"std::{name}": meaning for name, meaning in _STD.items()},
        **{f"np.{name}": meaning for name, meaning in _NUMPY.items()},
        **{f"numpy.{name}": meaning for name, meaning in _NUMPY.items()},
    }
)
"""Every accepted alias of a function, and its name in `FUNCTIONS`."""

_EXTREME = "takes the extreme of a whole array: write min(a, b) or max(a, b)"
DIFFERENT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("np.min", "np.max", "numpy.min", "numpy.max"), _EXTREME),
        "std::round": "rounds halves away from zero: write round(x), which rounds them to the even number",
        "TMath::Sign": "carries over the sign of its second argument: write abs(a) * sign(b)",
        "TMath::Range": "has its limits first: write clip(x, low, high)",
    }
)
"""Functions of other languages with another meaning, and what to write instead."""
