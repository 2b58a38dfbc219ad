"""A finding explains areas above one, and is silent without them."""

from __future__ import annotations

from tamis.report.findings import _areas


def test_areas_above_one_are_explained_where_they_occur() -> None:
    (finding,) = _areas({"test": {"auc": {"sig": 1.000009, "bkg": 0.9, "rare": None}}})
    assert "(sig 1.000009)" in finding.sentence
    assert "weights of both signs" in finding.sentence
    assert list(_areas({"test": {"auc": {"sig": 1.0}}})) == []
