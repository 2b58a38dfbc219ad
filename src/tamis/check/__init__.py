"""Everything that can be known before a training, without training."""

from tamis.check.preflight import check_input
from tamis.check.result import CheckResult

__all__ = ["CheckResult", "check_input"]
