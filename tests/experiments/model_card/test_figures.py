"""The figures of a quality card show what they were given, the same for the same data, also where data are missing."""

from copy import deepcopy
from xml.etree import ElementTree

import numpy as np
import pytest

from experiments.model_card import figures as model_figures
from experiments.model_card.figures import (
    calibration_figure,
    errors_figure,
    ranking_figure,
    reliability_figure,
    steps_figure,
    trajectory_figure,
    uncertainty_figure,
)

NAMES = ["angle", "velocity", "reward"]


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures themselves, caught before they become SVG."""
    caught: list = []
    monkeypatch.setattr(model_figures, "svg_of", lambda figure: caught.append(figure) or "")
    return caught


def lines_of(axes) -> dict:
    return {line.get_label(): (np.array(line.get_xdata()), np.array(line.get_ydata())) for line in axes.lines}


def all_figures(card, discrete_card, views) -> list[str]:
    return [
        errors_figure(card),
        errors_figure(discrete_card),
        calibration_figure(card, NAMES),
        reliability_figure(discrete_card),
        uncertainty_figure(card),
        ranking_figure(card["ranking"]),
        steps_figure(views["step"], NAMES),
        trajectory_figure(views["trajectory"], NAMES),
    ]


def test_figures_are_svg_and_the_same_for_the_same_data(card, discrete_card, views):
    first, second = all_figures(card, discrete_card, views), all_figures(card, discrete_card, views)
    assert first == second
    for svg in first:
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_errors_show_every_contestant_with_its_interval(drawn, card):
    errors_figure(card)
    axes = drawn[0].axes[0]
    lines = lines_of(axes)
    assert list(lines) == ["world model", "no change", "linear", "nearest neighbour"]
    np.testing.assert_array_equal(lines["world model"], [[1, 2], [0.01, 0.1]])
    np.testing.assert_array_equal(lines["linear"], [[1, 2], [0.2, np.nan]])  # what diverged leaves a gap
    assert len(axes.collections) == 4
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "error (standard deviations)"


def test_shares_of_wrong_states_can_be_zero(drawn, discrete_card):
    errors_figure(discrete_card)
    assert drawn[0].axes[0].get_yscale() == "linear"


def test_calibration_shows_all_numbers_that_change(drawn, card):
    calibration_figure(card, NAMES)
    left, right = (lines_of(axes) for axes in drawn[0].axes)
    assert list(left)[:4] == ["world model", "no change", "linear", "nearest neighbour"]
    assert list(right)[:2] == ["angle", "velocity"]
    assert "reward" not in right
    np.testing.assert_allclose(left["world model"][0], left["world model"][1])  # made up to be perfect


def test_reliability_leaves_empty_bins_out(drawn, discrete_card):
    reliability_figure(discrete_card)
    left, right = drawn[0].axes
    np.testing.assert_array_equal(lines_of(left)["world model"], [[0.55, 0.95], [0.5, 1.0]])
    assert [bar.get_height() for bar in right.patches] == [0, 20, 180]


def test_uncertainty_shows_the_kinds_that_tell_something(drawn, card):
    uncertainty_figure(card)
    left, right = drawn[0].axes
    assert list(lines_of(left)) == ["epistemic"]
    np.testing.assert_array_equal(lines_of(left)["epistemic"], [[0.1, 0.3], [0.2, 0.4]])
    np.testing.assert_array_equal(lines_of(right)["total"][1], [0.5, np.nan])


def test_uncertainty_that_is_always_the_same_can_be_shown(card):
    sure = deepcopy(card)
    sure["uncertainty"]["bins"]["epistemic"] = {"uncertainty": [0.0, 0.0], "error": [1.0, 2.0]}
    assert "<svg" in uncertainty_figure(sure)


def test_ranking_shows_every_policy_and_the_diagonal(drawn, card):
    ranking_figure(card["ranking"])
    diagonal, *_, trained = drawn[0].axes[0].lines
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert (list(trained.get_xdata()), list(trained.get_ydata())) == ([108.0], [93.0])
    (container,) = drawn[0].axes[0].containers
    assert list(container.lines[0].get_xdata()) == [108.0, 60.0, 12.0]
    assert list(container.lines[0].get_ydata()) == [93.0, 53.0, 13.0]


def test_equal_returns_can_be_shown(card):
    same = [{**one, "imagined": 5.0, "real": 5.0} for one in card["ranking"]["policies"]]
    assert "<svg" in ranking_figure({**card["ranking"], "policies": same})


def test_steps_show_the_numbers_that_change_and_leave_out_what_diverged(drawn, views):
    steps_figure(views["step"], NAMES)
    assert [axes.get_title() for axes in drawn[0].axes] == ["angle", "velocity"]
    _, points = drawn[0].axes[1].lines
    np.testing.assert_array_equal(points.get_xdata(), [row[1] for row in views["step"]["real"][:5]])


def test_trajectories_show_truth_imagination_and_band(drawn, views):
    trajectory_figure(views["trajectory"], NAMES)
    for d, axes in enumerate(drawn[0].axes):
        assert axes.get_title() == NAMES[d]
        lines = lines_of(axes)
        np.testing.assert_array_equal(lines["real"][1], np.array(views["trajectory"]["real"])[:, d])
        np.testing.assert_array_equal(lines["imagined"][1], np.array(views["trajectory"]["imagined"], float)[:, d])
        assert len(axes.collections) == 1


def test_many_dimensions_are_cut_at_twelve(drawn):
    path = np.random.default_rng(0).normal(size=(4, 40)).tolist()
    trajectory_figure(
        {"seen": 0, **dict.fromkeys(("real", "imagined", "low", "high"), path)}, [str(i) for i in range(40)]
    )
    steps_figure({"real": path, "predicted": path}, [str(i) for i in range(40)])
    assert [len(figure.axes) for figure in drawn] == [12, 12]
