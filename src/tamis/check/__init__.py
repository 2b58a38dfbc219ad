"""The check of a configuration and its input files before a training."""

from tamis.check.preflight import check_input
from tamis.check.result import CheckResult

__all__ = ["CheckResult", "check_input"]
