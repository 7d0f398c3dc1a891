"""The torch/JAX bridge: the same memory on both sides, and no dtype changed in silence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from envs.bridge import to_jax, to_torch
from envs.errors import InputError

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (1,), (1000,)])
def test_both_ways_share_memory(dtype, shape):
    tensor = (torch.arange(int(np.prod(shape))) % 2).reshape(shape).to(dtype)
    array = to_jax(tensor)
    assert (array.shape, str(array.dtype)) == (shape, str(dtype).removeprefix("torch."))
    assert array.unsafe_buffer_pointer() == tensor.data_ptr()
    back = to_torch(array)
    assert back.data_ptr() == tensor.data_ptr()
    assert back.dtype == dtype
    assert torch.equal(back, tensor)
    made_by_jax = jnp.ones(shape, array.dtype)
    assert to_torch(made_by_jax).data_ptr() == made_by_jax.unsafe_buffer_pointer()


@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_scalars_and_empty_tensors_cross(shape):
    assert to_jax(torch.ones(shape)).shape == shape
    assert to_torch(jnp.ones(shape)).shape == shape


@pytest.mark.parametrize(
    ("dtype", "narrow"),
    [(torch.int64, "int32"), (torch.float64, "float32"), (torch.complex128, "complex64")],
)
def test_what_jax_would_narrow_is_refused(dtype, narrow):
    # The trap: JAX itself takes them, narrower, without a word.
    assert str(jax.dlpack.from_dlpack(torch.ones(3, dtype=dtype)).dtype) == narrow
    with pytest.raises(InputError, match=f"silently narrow a {dtype} tensor to torch.{narrow}"):
        to_jax({"actions": torch.ones(3, dtype=dtype)})


def test_other_dtypes_and_leaves_are_refused():
    with pytest.raises(InputError, match=r"got torch\.complex64"):
        to_jax(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(InputError, match="got a ndarray"):
        to_jax([torch.ones(3), np.ones(3)])
    with pytest.raises(InputError, match="expected JAX arrays of numbers"):
        to_torch(np.ones(3))
    with pytest.raises(InputError, match="expected JAX arrays of numbers"):
        to_torch(jax.random.key(0))
    with pytest.raises(InputError, match="int4 does not cross"):
        to_torch(jnp.ones(3, jnp.int4))


def test_gradients_stay_behind_and_strides_are_made_contiguous():
    tensor = torch.arange(6.0).reshape(2, 3).requires_grad_()
    np.testing.assert_array_equal(to_jax(tensor), tensor.detach().numpy())
    np.testing.assert_array_equal(to_jax(tensor * 2), 2 * tensor.detach().numpy())
    np.testing.assert_array_equal(to_jax(tensor.T), tensor.detach().numpy().T)
    np.testing.assert_array_equal(to_jax(tensor[:, 1:]), tensor.detach().numpy()[:, 1:])
    np.testing.assert_array_equal(to_jax(tensor[1]), tensor.detach().numpy()[1])
    assert tensor.requires_grad


def test_crossing_changes_nothing():
    tensor = torch.arange(6.0).reshape(2, 3).T
    before = tensor.clone()
    array = to_jax(tensor)
    jax.jit(lambda x: x * 0)(array).block_until_ready()
    assert torch.equal(tensor, before)
    assert tensor.stride() == (1, 3)


def test_trees_cross_leaf_by_leaf():
    tree = {"a": torch.ones(2), "b": (torch.zeros(3, dtype=torch.int32), Pair(torch.ones(1), None))}
    arrays = to_jax(tree)
    assert isinstance(arrays["b"][1], Pair)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(arrays))
    back = to_torch(arrays)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert all(map(torch.equal, jax.tree.leaves(back), jax.tree.leaves(tree)))


def test_the_tensor_lives_as_long_as_the_array():
    array = to_jax(torch.full((1000,), 7.0))
    torch.full((1000,), 9.0)  # would take the memory, had it been freed
    assert (np.asarray(array) == 7).all()
