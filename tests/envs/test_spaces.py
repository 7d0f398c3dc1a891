import json

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from envs.errors import InputError
from envs.spaces import any_member, checked_actions, first_outside, space_from_json, space_to_json

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, max_side=3)
DTYPES = st.sampled_from([np.float32, np.float64, np.int8, np.uint8, np.int32, np.int64])


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    """Boxes of any dtype; float bounds may be infinite, and of any finite value."""
    dtype, shape = draw(DTYPES), draw(SHAPES)
    elements = {"allow_nan": False} if np.issubdtype(dtype, np.floating) else None
    ends = arrays.arrays(dtype, (2, *shape), elements=arrays.from_dtype(np.dtype(dtype), **(elements or {})))
    one, other = draw(ends)
    low, high = np.minimum(one, other), np.maximum(one, other)
    if elements:  # Gymnasium wants an infinite bound on its own side only
        low, high = np.where(np.isposinf(low), 0, low), np.where(np.isneginf(high), 0, high)
        low, high = np.minimum(low, high), np.maximum(low, high)
    return spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype)


DISCRETE = st.builds(spaces.Discrete, st.integers(1, 9), start=st.integers(-5, 5))
MULTI_BINARY = st.builds(spaces.MultiBinary, st.integers(1, 4) | st.lists(st.integers(1, 3), min_size=1, max_size=3))


@st.composite
def multi_discretes(draw: st.DrawFn) -> spaces.MultiDiscrete:
    shape = draw(arrays.array_shapes(max_dims=2, max_side=3))
    dtype = draw(st.sampled_from([np.int32, np.int64]))
    nvec = draw(arrays.arrays(dtype, shape, elements=st.integers(1, 9)))
    return spaces.MultiDiscrete(nvec, dtype, start=draw(arrays.arrays(dtype, shape, elements=st.integers(-5, 5))))


ANY_SPACE = boxes() | DISCRETE | multi_discretes() | MULTI_BINARY


@given(ANY_SPACE)
def test_a_space_comes_back_equal_through_a_json_text(space):
    back = space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False)))
    assert back == space
    assert (back.dtype, back.shape) == (space.dtype, space.shape)


def test_bounds_come_back_to_the_last_bit():
    low = np.array([-np.inf, np.nextafter(np.float32(-1), np.float32(0)), -np.float32(0.1)], np.float32)
    high = np.array([1e-45, np.inf, np.finfo(np.float32).max], np.float32)
    back = space_from_json(json.loads(json.dumps(space_to_json(spaces.Box(low, high)))))
    assert back.low.tobytes() == low.tobytes()
    assert back.high.tobytes() == high.tobytes()


def test_equal_bounds_are_written_once():
    content = space_to_json(spaces.Box(0, 255, (64, 64, 3), np.uint8))
    assert (content["low"], content["high"]) == ([0], [255])


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Tuple([spaces.Discrete(2)]), spaces.Dict({})])
def test_other_spaces_are_refused(space):
    with pytest.raises(InputError, match="Box, Discrete, MultiDiscrete and MultiBinary"):
        space_to_json(space)
    with pytest.raises(InputError, match="Box, Discrete, MultiDiscrete and MultiBinary"):
        first_outside(space, np.zeros(1))


BOX = {"type": "Box", "shape": [2], "dtype": "float32", "low": [0.0], "high": [1.0]}
DISCRETE_JSON = {"type": "Discrete", "n": 2, "start": 0, "dtype": "int64"}


@pytest.mark.parametrize(
    "content",
    [
        None,
        7,
        [],
        {},
        {"type": "Sphere"},
        BOX | {"low": ["low"]},
        BOX | {"low": [0.0, 0.0, 0.0]},
        BOX | {"low": []},
        BOX | {"low": None},
        BOX | {"dtype": "float31"},
        BOX | {"dtype": "uint8", "low": [-1]},
        BOX | {"dtype": "int8", "high": ["inf"]},
        BOX | {"shape": [-2]},
        BOX | {"low": [2.0]},
        DISCRETE_JSON | {"n": 0},
        DISCRETE_JSON | {"n": "2"},
        {"type": "MultiDiscrete", "nvec": [0], "start": [0], "dtype": "int64"},
        {"type": "MultiBinary"},
        {"type": "MultiBinary", "n": -1},
    ],
    ids=str,
)
def test_damaged_json_is_told_in_one_sentence(content):
    with pytest.raises(InputError, match="expected the JSON of a Box, Discrete, MultiDiscrete and MultiBinary space"):
        space_from_json(content)


@pytest.mark.parametrize(
    ("space", "values", "expected"),
    [
        (spaces.Box(-1, 1, (2,)), [[0, 0], [-1, 1]], None),
        (spaces.Box(-1, 1, (2,)), [[0, 0], [0, 1.5], [9, 9]], 1),
        (spaces.Box(-1, 1, (2,)), [[0, np.nan]], 0),
        (spaces.Box(-np.inf, np.inf, (1,)), [[np.inf], [-np.inf], [np.nan]], 2),
        (spaces.Box(-1, 1, ()), [0.0, -2.0], 1),
        (spaces.Box(0, 1, (1, 2)), [[[0, 1]], [[0, 2]]], 1),
        (spaces.Discrete(3), [0, 1, 2], None),
        (spaces.Discrete(3), [2, 3], 1),
        (spaces.Discrete(3), [0, -1], 1),
        (spaces.Discrete(3, start=5), [5, 7, 4], 2),
        (spaces.Discrete(3, start=5), [5, 7, 8], 2),
        (spaces.Discrete(3), [1.0, 0.5], 1),
        (spaces.Discrete(3), [np.nan], 0),
        (spaces.Discrete(3), [np.inf], 0),
        (spaces.MultiDiscrete([2, 3]), [[1, 2], [2, 2]], 1),
        (spaces.MultiDiscrete([2, 3], start=[10, -1]), [[10, -1], [11, 1], [9, 0]], 2),
        (spaces.MultiDiscrete([2, 3]), [[0.0, np.nan]], 0),
        (spaces.MultiDiscrete([2, 3]), [[0.0, 0.5]], 0),
        (spaces.MultiBinary(2), [[0, 1], [1, 1]], None),
        (spaces.MultiBinary(2), [[0, 1], [0, 2]], 1),
        (spaces.MultiBinary((1, 2)), [[[0, np.nan]]], 0),
        (spaces.Discrete(3), [], None),
    ],
    ids=str,
)
def test_the_first_outside_is_found(space, values, expected):
    assert first_outside(space, np.array(values)) == expected


def some_inside(space: spaces.Space) -> np.ndarray:
    """Four values ``[4, *shape]`` inside; Gymnasium cannot sample a Box whose bounds are as far out as they can be."""
    if isinstance(space, spaces.Box):
        return np.stack([space.low, space.high] * 2)
    return np.stack([np.asarray(space.sample()) for _ in range(4)])


@given(ANY_SPACE, st.data())
def test_it_agrees_with_gymnasium_row_by_row(space, data):
    """Rows of values around the space's own, in its dtype, so that Gymnasium judges nothing but values."""
    values = some_inside(space)
    row, change = data.draw(st.integers(0, 3)), data.draw(st.sampled_from([0, 1, -1, 3, -7]))
    with np.errstate(over="ignore"):
        values[row] += np.asarray(change).astype(values.dtype)
    expected = [i for i, value in enumerate(values) if not space.contains(np.asarray(value))]
    assert first_outside(space, values) == (expected[0] if expected else None)


WIDE = spaces.Box(np.array([-0.3, 0.0]), np.array([0.1, np.inf]), dtype=np.float64)
NARROW = spaces.Box(-0.1, 0.1, (2,), np.float32)


@pytest.mark.parametrize(
    ("space", "actions", "expected"),
    [
        (spaces.Discrete(3, start=-1), [-1, 1], np.array([-1, 1], np.int64)),
        (spaces.Discrete(3), np.array([2.0, 0.0], np.float32), np.array([2, 0], np.int64)),
        (spaces.MultiDiscrete([2, 5]), np.array([[1, 4], [0, 0]], np.uint8), np.array([[1, 4], [0, 0]], np.int64)),
        (spaces.MultiBinary(2), np.array([[True, False]] * 2), np.array([[1, 0]] * 2, np.int8)),
        (WIDE, np.array([[-0.25, 1e300]] * 2), np.array([[-0.25, 1e300]] * 2)),
        # float64's 0.1000000001 is float32's 0.1: the environment gets what is inside.
        (NARROW, np.array([[0.1000000001, -0.1]] * 2), np.array([[0.1, -0.1]] * 2, np.float32)),
    ],
)
def test_checked_actions_are_copies_in_the_dtype_of_the_space(space, actions, expected):
    for batch in (actions, expected):
        found = checked_actions(space, batch, 2, "a test")
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        assert not np.shares_memory(found, batch)


@pytest.mark.parametrize(
    ("space", "actions", "message"),
    [
        (spaces.Discrete(3), [0, 3], r"expected actions inside Discrete\(3\) from a test, got 3 in row 1"),
        (spaces.Discrete(3), [0.0, 0.5], "got 0.5 in row 1"),
        (spaces.Discrete(3), [np.nan, 0.0], "got nan in row 0"),
        (spaces.Discrete(2**31), [0, 2**32], "got 4294967296 in row 1"),
        (spaces.Box(0, 255, (1,), np.uint8), [[1], [300]], r"got \[300\] in row 1"),
        (WIDE, np.array([[0.0, 0.0], [0.1, 0.0]], np.float32), r"got \[0.1\d* 0. *\] in row 1"),
        (NARROW, [[0, 0], [0.1001, 0]], "in row 1"),
        (NARROW, [[0, 0], [1e300, 0]], r"got \[inf +0.\] in row 1"),
        (spaces.Discrete(3), [0], r"expected actions of shape \(2,\) from a test, got \(1,\)"),
        (spaces.Discrete(3), [[0], [0]], r"expected actions of shape \(2,\) from a test, got \(2, 1\)"),
        (spaces.Discrete(3), ["left", "right"], "expected actions as numbers from a test, got <U5"),
        (spaces.Discrete(3), [None, 0], "expected actions as numbers from a test, got object"),
        (NARROW, [0.0, 0.0], r"expected actions of shape \(2, 2\) from a test, got \(2,\)"),
    ],
    ids=str,
)
def test_actions_of_another_shape_or_outside_are_refused(space, actions, message):
    with pytest.raises(InputError, match=message):
        checked_actions(space, actions, 2, "a test")


def test_ignored_rows_are_not_judged_but_counted_and_become_a_valid_action():
    space, actions = spaces.Box(1, 2, (1,), np.float32), np.array([[np.nan], [1.5], [7.0]])
    ignored = np.array([True, False, True])
    np.testing.assert_array_equal(checked_actions(space, actions, 3, "a test", ignored), [[1], [1.5], [1]])
    np.testing.assert_array_equal(checked_actions(space, actions, 3, "a test", np.ones(3, bool)), np.ones((3, 1)))
    with pytest.raises(InputError, match=r"got \[7.\] in row 2"):
        checked_actions(space, actions, 3, "a test", np.array([True, False, False]))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(2, start=3),
        spaces.MultiDiscrete([2, 3], start=[1, -1]),
        spaces.MultiBinary(3),
        spaces.Box(-1, 1, (2,)),
        spaces.Box(np.array([2.0, -np.inf]), np.array([np.inf, -3.0]), dtype=np.float64),
    ],
)
def test_any_member_is_inside(space):
    member = any_member(space)
    assert (member.dtype, member.shape) == (space.dtype, space.shape)
    assert first_outside(space, member[None]) is None


def test_any_member_of_an_unknown_space_is_refused():
    with pytest.raises(InputError, match="expected a Box, Discrete, MultiDiscrete and MultiBinary space"):
        any_member(spaces.Text(3))
