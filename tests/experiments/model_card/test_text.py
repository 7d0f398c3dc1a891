"""The words of a quality card are its numbers' truth, also where something is missing."""

from copy import deepcopy

import pytest

from experiments.model_card.text import (
    calibration_told,
    number,
    quality_lines,
    ranking_told,
    share,
    shown_horizons,
    summary,
    terminations_told,
    uncertainty_told,
    verdict,
)


def test_the_table_shows_the_model_first_beside_the_baselines(card):
    head, rows = summary(card)
    assert head == ["", "error, 1 step", "error, 2 steps", "surprise", "90% covers", "reward error", "ends: F1"]
    assert rows == [
        ["world model", "0.01", "0.1", "-2.5", "90.0%", "0.25", "0"],
        ["no change", "0.4", "0.8", "1.42", "90.0%", "0.25", "0"],
        ["linear", "0.2", "diverged", "0.5", "90.0%", "0.25", "0"],
        ["nearest neighbour", "0.3", "0.5", "-1", "90.0%", "0.25", "0"],
    ]


def test_the_lines_are_aligned(card):
    lines = quality_lines(card)
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[1] == "world model                 0.01             0.1      -2.5       90.0%          0.25         0"
    assert lines[5:] == [
        "held out:           9 episodes, 200 steps; errors in standard deviations",
        "error, 1 step:      0.01, 95% interval 0.009 to 0.011",
        "error, 2 steps:     0.1, 95% interval 0.09 to 0.11",
        "calibration:        intervals of 50/80/90/95% cover 50.0/80.0/90.0/95.0%",
        "terminations:       precision of none, recall 0.0%, F1 0 (2 in 200 held-out steps, 0 predicted)",
        "uncertainty:        rank correlation with the one-step error: epistemic 0.80, aleatoric -0.20",
        "policy ranking:     Spearman 1.00 over 3 policies; exploitation gap -15.0 [-20.0, -11.0]",
        "warning:            dimension 1 of the observation is constant in the log: predicted to stay so",
    ]


def test_discrete_observations_have_a_brier_score(discrete_card):
    head, rows = summary(discrete_card)
    assert head[4] == "Brier score"
    assert [row[0] for row in rows] == ["world model", "no change", "most frequent"]
    assert rows[0][4] == "0.125"
    assert calibration_told(discrete_card) == "probability off by 0.050 on average, Brier score 0.125"
    assert "share of wrong states" in "\n".join(quality_lines(discrete_card))


def test_terminations_never_seen_are_told(card):
    never = {**card, "termination_in_log": False}
    assert terminations_told(never) == "never seen in the log: the model cannot know what ends an episode"
    quiet = deepcopy(card)
    quiet["termination"]["model"].update(num_terminated=0, f1=None, recall=None)
    assert terminations_told(quiet).startswith("none held out and none predicted")
    assert summary(quiet)[1][0][-1] == "none"


def test_what_is_not_defined_is_told(card):
    sure = deepcopy(card)
    sure["uncertainty"]["one_step"] = dict.fromkeys(("epistemic", "aleatoric", "total"))
    assert uncertainty_told(sure) == "the same at every step, so it tells nothing of the error"
    assert calibration_told({**card, "coverage": {}}).startswith("nothing ever changed in the log")
    assert ranking_told({"missing": "it was not asked for"}) == "not measured: it was not asked for"
    assert ranking_told({**card["ranking"], "spearman": None}).startswith("Spearman not defined over 3 policies")


def test_a_card_without_any_numbers_to_be_sure_of_still_has_its_table(card):
    head, rows = summary({**card, "coverage": {}})
    assert len(head) == len(rows[0])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([40], [1]),
        ([40, 30], [1, 2]),
        ([40] * 5, [1, 5]),
        ([40] * 7, [1, 5, 7]),
        ([40] * 7 + [20, 19, 4], [1, 5, 8]),
        ([3, 3, 2], [1, 2]),  # where there are not even 20 to begin with
    ],
)
def test_horizons_are_those_that_enough_starts_reach(counts, expected):
    assert shown_horizons({"num_starts": counts}) == expected


def test_the_verdict_compares_with_the_best_baseline(card):
    told = "Its error beside the best baseline's: after 1 step 0.05 times that of linear, "
    assert verdict(card) == told + "after 2 steps 0.2 times that of nearest neighbour."
    worse = deepcopy(card)
    worse["open_loop"]["model"]["value"] = [0.4, None]
    told = "Its error beside the best baseline's: after 1 step 2 times that of linear, "
    assert verdict(worse) == told + "after 2 steps diverged against 0.5 (nearest neighbour)."
    worse["open_loop"]["linear"]["value"] = [0.0, None]
    assert "after 1 step 0.4 against 0 (linear)" in verdict(worse)


def test_numbers_and_shares():
    assert [number(value) for value in (0.000123456, 12345.678, 0.0, None)] == ["0.000123", "1.23e+04", "0", "diverged"]
    assert [share(value) for value in (0.5, 1.0, None)] == ["50.0%", "100.0%", "of none"]
