"""Every figure is SVG that shows what it was given, the same for the same data, also where data are missing."""

from xml.etree import ElementTree

import numpy as np
import pytest

from experiments import figures
from experiments.figures import bandit_figure, curves_figure, evolution_figure, returns_figure

ROWS = [
    {"world": "none", "method": "random", "iqm": 22.0, "ci_low": 20.0, "ci_high": 24.0,
     "seeds": [{"seed": 0, "returns": [20.0, 24.0]}, {"seed": 1, "returns": [22.0]}]},
    {"world": "real", "method": "ppo", "iqm": 500.0, "ci_low": 500.0, "ci_high": 500.0,
     "seeds": [{"seed": 0, "returns": [500.0]}, {"seed": 1, "returns": [500.0]}]},
]  # fmt: skip


def all_figures(parts) -> dict[str, str]:
    return {
        "returns": returns_figure(ROWS, 475.0),
        "curves": curves_figure(parts["curves"], 475.0),
        "evolution": evolution_figure(parts["evolution"], 475.0),
        "bandit": bandit_figure(parts["bandit_rewards"], parts["names"]),
    }


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures themselves, caught before they become SVG."""
    caught: list = []
    monkeypatch.setattr(figures, "svg_of", lambda figure: caught.append(figure) or "")
    return caught


def texts(axes) -> set[str]:
    return {axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)}


def test_figures_are_svg_and_the_same_for_the_same_data(parts):
    first, second = all_figures(parts), all_figures(parts)
    for name, svg in first.items():
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg", name
        assert svg == second[name], name


def test_returns_show_every_row_seed_and_interval(drawn):
    returns_figure(ROWS, 475.0)
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none · random", "real · ppo"]
    assert [bar.get_width() for bar in axes.patches] == [22.0, 500.0]
    drawn_lines = [line.get_xdata().tolist() for line in axes.lines[:4]]
    assert drawn_lines == [[20.0, 24.0], [22.0, 22.0], [500.0, 500.0], [500.0, 500.0]]  # interval, seeds, a row each
    assert "solved: 475 " in texts(axes)


def test_no_threshold_no_line(drawn):
    returns_figure(ROWS, None)
    assert len(drawn[0].axes[0].lines) == 4
    assert not drawn[0].axes[0].texts


def test_curves_show_every_seed_and_the_median_and_leave_gaps_where_nothing_is_known(drawn, parts):
    curves_figure(parts["curves"], 475.0)
    assert [axes.get_title() for axes in drawn[0].axes] == ["PPO on real", "PPO on bandit"]
    lines = [line.get_ydata() for line in drawn[0].axes[0].lines[:3]]
    np.testing.assert_array_equal(lines, [[20.0, np.nan], [30.0, 40.0], [25.0, np.nan]])


def test_the_bandit_is_shown_over_its_two_dimensions(drawn, parts):
    bandit_figure({**parts["bandit_rewards"], "axes": [1, 0]}, parts["names"])
    left, right = drawn[0].axes[:2]
    np.testing.assert_array_equal(left.images[0].get_array(), parts["bandit_rewards"]["advantage"])
    assert left.images[0].get_clim() == (-1.0, 1.0)  # the same on both sides of no preference
    assert (left.get_xlabel(), left.get_ylabel()) == ("velocity & such", "angle <rad>")
    for cloud in ("real", "contexts"):  # both are in sight, wherever they lie
        inside = [right.viewLim.contains(*point) for point in parts["bandit_rewards"][cloud]]
        assert np.mean(inside) > 0.7


def test_a_bandit_that_pays_nothing_can_be_shown(parts):
    zeros = np.zeros_like(parts["bandit_rewards"]["advantage"]).tolist()
    assert "<svg" in bandit_figure({**parts["bandit_rewards"], "advantage": zeros}, parts["names"])


def test_evolution_shows_its_four_lines_and_where_a_stage_ends(drawn, parts):
    evolution_figure(parts["evolution"], None)
    *curves, border = drawn[0].axes[0].lines
    assert [list(line.get_ydata()) for line in curves] == [[10.0, 20.0, 30.0]] * 4
    assert list(border.get_xdata()) == [1.5, 1.5]
