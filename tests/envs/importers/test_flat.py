import numpy as np
import pytest

from envs.errors import InputError
from envs.importers.flat import FlatTransitions, cut_episodes, read_flags
from envs.logs import Episode

# Two episodes: rows 0-2 end terminated, rows 3-4 end truncated; row 5 is all there is of a third.
TERMINATED = np.array([0, 0, 1, 0, 0, 0], bool)
TRUNCATED = np.array([0, 0, 0, 0, 1, 0], bool)
OBSERVATIONS = np.array([0, 1, 2, 10, 11, 20], np.float32)
NEXT_OBSERVATIONS = OBSERVATIONS + 1


def make_flat(next_observations: np.ndarray | None, truncated: np.ndarray | None = TRUNCATED) -> FlatTransitions:
    rewards = np.arange(6, dtype=np.float32)
    return FlatTransitions(OBSERVATIONS, np.arange(6), rewards, TERMINATED, truncated, next_observations, "here")


def cut(flat: FlatTransitions) -> tuple[list[Episode], dict]:
    notes: dict = {}
    return list(cut_episodes(flat, notes)), notes


@pytest.mark.parametrize("truncated", [TRUNCATED, None])
def test_next_observations_give_whole_episodes(truncated: np.ndarray | None) -> None:
    """Without flags for time limits, the jump from 12 to 20 tells where the second episode ended."""
    episodes, notes = cut(make_flat(NEXT_OBSERVATIONS, truncated))
    assert [e.observations.tolist() for e in episodes] == [[0, 1, 2, 3], [10, 11, 12], [20, 21]]
    assert [e.actions.tolist() for e in episodes] == [[0, 1, 2], [3, 4], [5]]
    assert [e.rewards.tolist() for e in episodes] == [[0, 1, 2], [3, 4], [5]]
    assert [(e.terminated, e.truncated) for e in episodes] == [(True, False), (False, True), (False, True)]
    assert notes == {"cut_at_jumps": 0 if truncated is not None else 1}


def test_without_next_observations_the_last_transition_is_dropped() -> None:
    episodes, notes = cut(make_flat(None))
    assert [e.observations.tolist() for e in episodes] == [[0, 1, 2], [10, 11]]
    assert [e.actions.tolist() for e in episodes] == [[0, 1], [3]]
    assert [(e.terminated, e.truncated) for e in episodes] == [(False, True), (False, True)]
    assert notes == {"dropped_transitions": 3, "dropped_terminations": 1, "dropped_episodes": 1}


def test_end_that_nothing_tells_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected time limits .* or next_observations in here, found neither"):
        make_flat(None, None)


def test_wrong_number_of_rows() -> None:
    with pytest.raises(InputError, match=r"next_observations in here: expected 6 rows, .* got shape \(5,\)"):
        make_flat(NEXT_OBSERVATIONS[:-1])


def test_other_shape_of_next_observations() -> None:
    with pytest.raises(InputError, match="expected rows of one shape"):
        cut(make_flat(NEXT_OBSERVATIONS[:, None]))


def test_nan_in_next_observations_is_named() -> None:
    broken = NEXT_OBSERVATIONS.copy()
    broken[3] = np.nan
    with pytest.raises(InputError, match="next_observations of episode 1, row 0: expected finite numbers, got nan"):
        cut(make_flat(broken))


def test_no_row() -> None:
    none = np.zeros(0)
    assert cut(FlatTransitions(none, none, none, none.astype(bool), none.astype(bool), None, "here"))[0] == []


@pytest.mark.parametrize("values", [[0, 1, 0.5], [0, 1, np.nan], [0, 1, 2]])
def test_flags_are_zero_or_one(values: list[float]) -> None:
    with pytest.raises(InputError, match=r"terminals in here, row 2: expected 0 or 1, got"):
        read_flags(np.array(values), "terminals", "here")
    assert read_flags(np.array([0.0, 1.0]), "terminals", "here").tolist() == [False, True]


@pytest.mark.parametrize("values", [np.zeros((3, 1)), np.array(["no"])])
def test_flags_are_one_a_row(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected one flag a row"):
        read_flags(values, "terminals", "here")
