"""The language of features, selections and weights: formulas of branches, in the style of Python or ROOT.

Example:
    >>> import numpy as np
    >>> from tamis.expressions import evaluate, parse
    >>> selection = parse("pt > 20 && fabs(eta) < 2.4")
    >>> selection.branches
    ('eta', 'pt')
    >>> evaluate(selection, {"pt": np.array([30, 10]), "eta": np.array([-1.0, 0.0])}, length=2)
    array([ True, False])
"""

from tamis.expressions.columns import Values, check_branches
from tamis.expressions.evaluator import convert_to_boolean, evaluate
from tamis.expressions.functions import FUNCTIONS, Function
from tamis.expressions.parser import format_branch, parse
from tamis.expressions.tree import MAXIMUM_DEPTH, MAXIMUM_LENGTH, Expression, Node, collect_branches

__all__ = [
    "FUNCTIONS",
    "MAXIMUM_DEPTH",
    "MAXIMUM_LENGTH",
    "Expression",
    "Function",
    "Node",
    "Values",
    "check_branches",
    "collect_branches",
    "convert_to_boolean",
    "evaluate",
    "format_branch",
    "parse",
]
