import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import InputError
from envs.named_tensors import flatten_tensors, nest_tensors

NAMES = st.text("ab01_", min_size=1, max_size=3)
LEAVES = st.builds(np.full, st.sampled_from([(), (2,), (0, 3)]), st.integers(0, 9))
TREES = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda tree: st.dictionaries(NAMES, tree, min_size=1, max_size=3), max_leaves=6)
)


def test_names_are_the_keys_on_the_way():
    nested = {"actor": {"0": {"w": jnp.ones((2, 1)), "b": [0.0]}}, "log_std": np.float32(3)}
    flat = flatten_tensors(nested)
    assert list(flat) == ["actor/0/w", "actor/0/b", "log_std"]
    assert all(isinstance(value, np.ndarray) for value in flat.values())
    assert flat["actor/0/w"].dtype == np.float32
    assert flat["log_std"].shape == ()


@given(TREES)
def test_nesting_undoes_flattening(nested):
    def assert_same(left, right):
        if isinstance(right, dict):
            assert left.keys() == right.keys()
            for key, value in right.items():
                assert_same(left[key], value)
        else:
            np.testing.assert_array_equal(left, right, strict=True)

    assert_same(nest_tensors(flatten_tensors(nested)), nested)


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_name_that_is_both_tensor_and_folder_is_refused(names):
    with pytest.raises(InputError, match="expected names of tensors"):
        nest_tensors(dict.fromkeys(names, np.zeros(1)))
