"""The style is complete in itself and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

import tamis.plots.style
from tamis.plots.style import SIX_COLOURS, TEN_COLOURS, PlainTicks, colours, figure_style


def test_the_settings_of_the_user_come_back() -> None:
    with mpl.rc_context({"font.size": 33.0, "legend.frameon": True}):
        before = dict(mpl.rcParams)
        with figure_style():
            assert mpl.rcParams["font.size"] == 10.0
            assert not mpl.rcParams["legend.frameon"]
        assert dict(mpl.rcParams) == before


def test_the_settings_of_the_user_do_not_show() -> None:
    with figure_style():
        expected = dict(mpl.rcParams)
    with mpl.rc_context({"text.usetex": True, "axes.grid": True, "lines.linewidth": 9.0}), figure_style():
        assert dict(mpl.rcParams) == expected


def test_the_settings_come_back_after_an_error() -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(KeyError), figure_style():
        raise KeyError
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("count", "sequence"), [(1, SIX_COLOURS), (6, SIX_COLOURS), (7, TEN_COLOURS)])
def test_colours_come_in_the_order_of_the_sequence(count: int, sequence: tuple[str, ...]) -> None:
    assert colours(count) == sequence[:count]


def test_beyond_ten_colours_repeat() -> None:
    assert colours(12) == TEN_COLOURS + TEN_COLOURS[:2]
    assert all(to_rgb(colour) for colour in colours(12))


def test_no_module_uses_pyplot() -> None:
    folder = Path(tamis.plots.style.__file__).parent
    assert [path.name for path in folder.glob("*.py") if "pyplot" in path.read_text(encoding="utf-8")] == []


def test_ticks_are_plain_and_their_factor_is_mathtext() -> None:
    ticks = PlainTicks()
    ticks.set_powerlimits((-3, 5))
    ticks.create_dummy_axis()
    ticks.axis.set_view_interval(0, 4e6)
    ticks.axis.set_data_interval(0, 4e6)
    assert ticks.format_ticks([0.0, 1e6, 2e6, 3e6, 4e6])[1] == "1"
    assert ticks.get_offset() == r"$\times\mathdefault{10^{6}}\mathdefault{}$"
    assert ticks.format_ticks([0.0, 2e6, 4e6])[1] == "2"
