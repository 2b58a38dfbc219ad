"""The functions that an expression may call: nothing outside this list can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tamis.expressions.tree import FunctionName


@dataclass(frozen=True)
class Function:
    """One function of the language.

    Args:
        arguments: what the arguments are called.
        description: what it gives, in one line.
        more: whether any number of further arguments may follow.
    """

    arguments: tuple[str, ...]
    description: str
    more: bool = False

    @property
    def signature(self) -> str:
        """The arguments in brackets, as documentation writes them."""
        return f"({', '.join((*self.arguments, *(['...'] if self.more else [])))})"

    def accepts(self, count: int) -> bool:
        """Say whether the function may be called with so many arguments."""
        return count >= len(self.arguments) if self.more else count == len(self.arguments)


_X = ("x",)
_TWO = ("a", "b")

FUNCTIONS: Mapping[FunctionName, Function] = MappingProxyType(
    {
        "abs": Function(_X, "absolute value"),
        "sqrt": Function(_X, "square root"),
        "exp": Function(_X, "e to the power x"),
        "log": Function(_X, "natural logarithm"),
        "log10": Function(_X, "logarithm to base 10"),
        "log2": Function(_X, "logarithm to base 2"),
        "log1p": Function(_X, "log(1 + x), exact for small x"),
        "expm1": Function(_X, "exp(x) - 1, exact for small x"),
        "sin": Function(_X, "sine of an angle in radians"),
        "cos": Function(_X, "cosine of an angle in radians"),
        "tan": Function(_X, "tangent of an angle in radians"),
        "asin": Function(_X, "inverse sine, in radians"),
        "acos": Function(_X, "inverse cosine, in radians"),
        "atan": Function(_X, "inverse tangent, in radians"),
        "atan2": Function(("y", "x"), "angle of the point (x, y), from -pi to pi"),
        "sinh": Function(_X, "hyperbolic sine"),
        "cosh": Function(_X, "hyperbolic cosine"),
        "tanh": Function(_X, "hyperbolic tangent"),
        "asinh": Function(_X, "inverse hyperbolic sine"),
        "acosh": Function(_X, "inverse hyperbolic cosine"),
        "atanh": Function(_X, "inverse hyperbolic tangent"),
        "min": Function(_TWO, "smallest of two or more values; NaN where one of them is", more=True),
        "max": Function(_TWO, "largest of two or more values; NaN where one of them is", more=True),
        "pow": Function(_TWO, "a to the power b, the same as a ** b"),
        "hypot": Function(_TWO, "sqrt(a * a + b * b) without overflow"),
        "floor": Function(_X, "largest whole number not above x"),
        "ceil": Function(_X, "smallest whole number not below x"),
        "round": Function(_X, "nearest whole number; halves go to the even one"),
        "sign": Function(_X, "-1, 0 or 1"),
        "isnan": Function(_X, "whether x is NaN"),
        "isfinite": Function(_X, "whether x is neither NaN nor infinite"),
        "where": Function(("c", "a", "b"), "a where c is true, b elsewhere, the same as c ? a : b"),
        "clip": Function(("x", "low", "high"), "x, but not below low and not above high"),
        "delta_phi": Function(_TWO, "a - b for two angles, brought into [-pi, pi]"),
        "pi": Function((), "3.14159..."),
    }
)
"""Every function of the language under its one name."""

_PLAIN: Mapping[str, FunctionName] = {
    "fabs": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
}
_TMATH: Mapping[str, FunctionName] = {
    "Abs": "abs",
    "Sqrt": "sqrt",
    "Exp": "exp",
    "Log": "log",
    "Log10": "log10",
    "Log2": "log2",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "ASin": "asin",
    "ACos": "acos",
    "ATan": "atan",
    "ATan2": "atan2",
    "SinH": "sinh",
    "CosH": "cosh",
    "TanH": "tanh",
    "ASinH": "asinh",
    "ACosH": "acosh",
    "ATanH": "atanh",
    "Min": "min",
    "Max": "max",
    "Power": "pow",
    "Hypot": "hypot",
    "Floor": "floor",
    "Ceil": "ceil",
    "Nint": "round",
    "IsNaN": "isnan",
    "Finite": "isfinite",
    "Pi": "pi",
}
_SHARED: tuple[FunctionName, ...] = (
    "abs", "sqrt", "exp", "log", "log10", "log2", "log1p", "expm1",
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "pow", "hypot", "floor", "ceil", "isnan", "isfinite",
)  # fmt: skip
_STD: Mapping[str, FunctionName] = {
    **{name: name for name in _SHARED},
    "fabs": "abs",
    "min": "min",
    "max": "max",
    "clamp": "clip",
}
_NUMPY: Mapping[str, FunctionName] = {
    **{name: name for name in _SHARED},
    **_PLAIN,
    "absolute": "abs",
    "minimum": "min",
    "maximum": "max",
    "power": "pow",
    "round": "round",
    "rint": "round",
    "sign": "sign",
    "where": "where",
    "clip": "clip",
}

SPELLINGS: Mapping[str, FunctionName] = MappingProxyType(
    {
        **{name: name for name in FUNCTIONS},
        **_PLAIN,
        **{f"TMath::{name}": meaning for name, meaning in _TMATH.items()},
        **{f"std::{name}": meaning for name, meaning in _STD.items()},
        **{f"np.{name}": meaning for name, meaning in _NUMPY.items()},
        **{f"numpy.{name}": meaning for name, meaning in _NUMPY.items()},
    }
)
"""Every accepted spelling of a function, and the name in `FUNCTIONS` that it means."""

_EXTREME = "takes the extreme of a whole array: write min(a, b) or max(a, b)"
DIFFERENT: Mapping[str, str] = MappingProxyType(
    {
        "np.min": _EXTREME,
        "np.max": _EXTREME,
        "numpy.min": _EXTREME,
        "numpy.max": _EXTREME,
        "std::round": "rounds halves away from zero: write round(x), which rounds them to the even number",
        "TMath::Sign": "carries over the sign of its second argument: write abs(a) * sign(b)",
        "TMath::Range": "has its limits first: write clip(x, low, high)",
    }
)
"""Functions of other languages that look known but mean something else, and what to write."""
