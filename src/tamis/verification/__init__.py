"""A finished run against itself: what can be recomputed is, and what does not match is named."""

from tamis.verification.comparison import Comparison, Verification
from tamis.verification.verification import verify_run

__all__ = ["Comparison", "Verification", "verify_run"]
