"""The bridge between torch and JAX: the only module that imports both.

Tensors cross by DLPack without a copy, so both sides then share memory: **never write in place** into a tensor that
came from or went to JAX; it would change an array that JAX holds to be immutable. Cross between jitted calls, in
batches: a crossing costs some 5 to 30 microseconds, whatever its size.
"""

from typing import Any

import jax
import jax.numpy as jnp
import torch
import torch.utils.dlpack
from torch import Tensor

from envs.errors import InputError

_CROSSING = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)
_NARROWED = {torch.float64: torch.float32, torch.int64: torch.int32, torch.complex128: torch.complex64}


def to_jax(tensors: Any) -> Any:
    """Returns a tensor, or a tree (dicts, tuples, lists) of them, as JAX arrays of the same shapes and dtypes.

    A contiguous tensor is shared, not copied; others are made contiguous first. JAX itself copies memory that does
    not start on a boundary of 64 bytes, as that of a row slice. Gradients stay behind.

    Raises:
        InputError: a leaf is no tensor, is of a dtype that JAX would silently narrow (int64, float64) or does not
            know, or lies on a device that this JAX does not have.
    """
    return jax.tree.map(_tensor_to_jax, tensors)


def to_torch(arrays: Any) -> Any:
    """Returns a JAX array, or a tree of them, as torch tensors that share their memory: do not write to them.

    Raises:
        InputError: a leaf is no JAX array, or of a dtype that torch does not take.
    """
    return jax.tree.map(_array_to_torch, arrays)


def _tensor_to_jax(tensor: Any) -> jax.Array:
    if not isinstance(tensor, Tensor):
        raise InputError(f"expected torch tensors to take to JAX, got a {type(tensor).__name__}")
    if tensor.dtype in _NARROWED:
        other = _NARROWED[tensor.dtype]
        raise InputError(f"JAX would silently narrow a {tensor.dtype} tensor to {other}: convert it before it crosses")
    if tensor.dtype not in _CROSSING:
        raise InputError(f"expected a tensor of one of {', '.join(map(str, _CROSSING))}, got {tensor.dtype}")
    if tensor.device.type != "cpu" and jax.default_backend() == "cpu":
        raise InputError(f"expected a tensor on the CPU, where JAX runs, got one on {tensor.device}")
    return jax.dlpack.from_dlpack(tensor.detach().contiguous())


def _array_to_torch(array: Any) -> Tensor:
    if not isinstance(array, jax.Array) or jnp.issubdtype(array.dtype, jax.dtypes.extended):
        raise InputError(f"expected JAX arrays of numbers to take to torch, got {type(array).__name__}")
    try:
        return torch.utils.dlpack.from_dlpack(array.block_until_ready())
    except (TypeError, RuntimeError, BufferError) as error:
        raise InputError(f"a JAX array of dtype {array.dtype} does not cross to torch: {error}") from None
