"""Labels in sentences of the page: no mathtext is shown as it is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.report.mathtext import write_as_text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (r"$t\bar{t}$", "tt̄"),
        (r"$t\bar t H$", "tt̄H"),
        (r"$\Delta\phi_{12}$ [rad]", "Δφ₁₂ [rad]"),
        (r"$Z/\gamma^*$ + jets", "Z/\N{GREEK SMALL LETTER GAMMA}^* + jets"),
        (r"$m_{\ell\ell}^2$", "m_ℓℓ²"),
        (r"$\mathrm{W}^\pm$", "W^±"),
        (r"plain \$", "plain $"),
        ("a_b ^ c", "a_b ^ c"),
        (r"$\sqrt{s}$", "√s"),
    ],
)
def test_simple_mathtext_is_written_as_text(label: str, text: str) -> None:
    assert write_as_text(label) == text


@given(st.text(st.sampled_from("ab{}^_\\$ +1"), max_size=20))
def test_any_label_is_written(label: str) -> None:
    assert "$$" not in write_as_text(label.replace("$", ""))
