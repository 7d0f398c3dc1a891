"""The interquartile mean and its interval: by hand, against rliable's and scipy's own values, and as a distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from experiments.statistics import bootstrap_interval, interquartile_mean

# From rliable 1.2.0 (pandas 2.3.3, scipy), outside this repository, with
#   metrics.aggregate_iqm(scores[:, None])
# on np.round(np.random.default_rng(7).normal(100, 50, n), 2), n drawn in turn.
RLIABLE_IQM = [
    ([100.06], 100.06),
    ([114.94, 86.29], 100.61500000000001),
    ([55.47, 77.27, 50.42], 61.053333333333335),
    ([103.01, 167.01, 75.39, 68.98], 89.2),
    ([124.49, 117.84, 105.27, 53.48, 98.54], 107.21666666666665),
    ([134.77, 32.79, 77.12, 4.94, 35.52, 7.91], 38.335),
    ([88.25, 36.63, 113.56, 107.84, 90.65, -25.84, 73.07], 79.28800000000001),
    ([97.57, 105.67, 23.49, 76.11, 51.07, 59.56, 153.04, 59.62], 73.215),
    ([98.37, 144.22, 70.82, 94.41, 105.52, 103.19, 38.75, 103.81, 167.94, 22.64], 96.02),
    (
        [142.97, 105.97, 67.93, 200.02, 138.11, 40.04, 103.73, 128.83, 90.56, 134.15, 96.67, 133.36, 171.93],
        120.11714285714287,
    ),
]
# rliable.library.get_interval_estimates({"a": scores[:, None]}, iqm, reps=50_000, random_state=RandomState(0)),
# which is a percentile bootstrap over runs, stratified over tasks, of which there is one here.
RLIABLE_INTERVAL = [
    (RLIABLE_IQM[4][0], (68.5, 122.27333333)),
    (RLIABLE_IQM[8][0], (65.74666667, 123.10833333)),
]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 3.0], 2.0),
        ([1.0, 2.0, 9.0], 4.0),
        ([0.0, 10.0, 20.0, 90.0], 15.0),  # one dropped at each end
        ([500.0, 0.0, 490.0, 480.0, 470.0], 480.0),  # floor(5 / 4) = 1 at each end
        ([8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0], 4.5),  # two at each end
    ],
)
def test_iqm_by_hand(scores, expected):
    assert interquartile_mean(np.array(scores)) == pytest.approx(expected)


@pytest.mark.parametrize(("scores", "expected"), RLIABLE_IQM)
def test_iqm_is_that_of_rliable(scores, expected):
    assert interquartile_mean(np.array(scores)) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_iqm_is_the_trimmed_mean(scores):
    assert interquartile_mean(np.array(scores)) == pytest.approx(trim_mean(scores, 0.25), rel=1e-9, abs=1e-9)


def test_iqm_of_a_batch_is_that_of_each_row():
    scores = np.random.default_rng(0).normal(size=(3, 4, 9))
    batch = interquartile_mean(scores)
    assert batch.shape == (3, 4)
    np.testing.assert_array_equal(batch[2, 1], interquartile_mean(scores[2, 1]))


@pytest.mark.parametrize(("scores", "expected"), RLIABLE_INTERVAL)
def test_the_interval_is_that_of_rliable(scores, expected):
    # 10,000 resamples against 50,000: the ends agree to a few per cent of the interval's width.
    assert bootstrap_interval(np.array(scores)) == pytest.approx(expected, abs=0.04 * (expected[1] - expected[0]))


def test_the_interval_depends_on_its_seed_only():
    scores = np.random.default_rng(3).normal(100, 30, 10)
    assert bootstrap_interval(scores) == bootstrap_interval(scores.copy())
    assert bootstrap_interval(scores, seed=1) != bootstrap_interval(scores, seed=2)


def test_equal_scores_leave_no_doubt_and_one_seed_says_nothing_of_it():
    assert bootstrap_interval(np.full(5, 500.0)) == (500.0, 500.0)
    assert bootstrap_interval(np.array([123.0])) == (123.0, 123.0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12))
def test_the_interval_lies_within_the_scores_around_the_estimate(scores):
    low, high = bootstrap_interval(np.array(scores))
    assert min(scores) - 1e-9 <= low <= high <= max(scores) + 1e-9


def test_a_lower_level_gives_a_narrower_interval():
    scores = np.random.default_rng(5).normal(size=20)
    wide, narrow = bootstrap_interval(scores, level=0.95), bootstrap_interval(scores, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(size=20)) for _ in range(100)]
    covered = sum(low <= 0.0 <= high for low, high in intervals)
    assert 85 <= covered <= 100  # 95% asked for; the percentile bootstrap is a little narrow with few seeds
