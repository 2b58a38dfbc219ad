"""Verification of a run: recompute its contents as far as possible, and list the differences."""

from tamis.runs.verification.comparison import Comparison, Verification
from tamis.runs.verification.verify import verify_run

__all__ = ["Comparison", "Verification", "verify_run"]
