"""One step of a fused network in numba, for so few rows that calling torch would cost more than the numbers.

A torch call costs one or two microseconds and a step takes seven; for one row all its products take about two.

Shape legend: ``B`` rows, ``K`` nodes a root, ``D`` latent, ``A`` number of actions, ``L`` layers.
"""

import numpy as np
from numba import njit

FEW_ROWS = 4
"""Up to so many rows it is faster than torch (measured with layers of 64)."""

RELU, TANH, SILU = 0, 1, 2
ACTIVATIONS = {"relu": RELU, "tanh": TANH, "silu": SILU}

LAYER = np.dtype([("weight", "u8"), ("bias", "u8"), ("num_in", "u8"), ("num_out", "u8"), ("reads", "i8")], align=True)
"""Where weights ``[in, out]`` and bias begin in one vector of all numbers; sizes; the layer whose result it reads
(the first reads latent states). Unsigned, for numba makes no vector instructions of indices that may be negative."""

compiled = njit(cache=True, error_model="numpy", fastmath=True, _nrt=False)  # type: ignore[call-overload]
inlined = njit(inline="always", error_model="numpy", fastmath=True, _nrt=False)  # type: ignore[call-overload]


@compiled
def step_rows(
    latents: np.ndarray,
    leaves: np.ndarray,
    of_action: np.ndarray,
    numbers: np.ndarray,
    layers: np.ndarray,
    activation: int,
    num_dynamics: int,
    scratch: np.ndarray,
    values: np.ndarray,
    node: int,
    discount: float,
    has_ends: bool,
) -> None:
    """Steps from the nodes at ``leaves`` and writes latent states and what the tree reads.

    Args:
        latents: of all nodes ``[K, B, D]``; those of ``node`` are written.
        leaves: ``[2, B]`` int64, node times B plus row, and actions.
        of_action: first layer's bias with the weights of each action ``[A, hidden]``.
        numbers: weights and biases of all layers.
        layers: ``[L]`` of `LAYER`: the dynamics, then the heads.
        activation: between layers.
        num_dynamics: how many layers are the dynamics'.
        scratch: ``[L, width]`` float32.
        values: ``[B, 3 + A]`` float32, written.
        node: number of the new nodes.
        discount: of steps that do not end the episode.
        has_ends: whether the second value is a logit of going on; else it is right as it is.
    """
    rows = latents.shape[1]
    last, width = len(layers) - 1, values.shape[1]
    for row in range(rows):
        place, action = leaves[0, row], leaves[1, row]
        parent = latents[place // rows, place % rows]
        for index in range(len(layers)):
            layer, out = layers[index], scratch[index]
            if index == 0:
                _multiply(layer, numbers, of_action[action], np.uint64(0), parent, out)
            else:
                _multiply(layer, numbers, numbers, layer.bias, scratch[layer.reads], out)
            if index != num_dynamics - 1 and index != last:
                _activate(out, layer.num_out, activation)
        for j in range(latents.shape[2]):
            latents[node, row, j] = scratch[num_dynamics - 1, j]
        for j in range(width):
            values[row, j] = scratch[last, j]
        if has_ends:
            goes_on = 1.0 / (1.0 + np.exp(-values[row, 1]))
            values[row, 1] = discount * goes_on if goes_on >= 0.5 else 0.0


@inlined
def _multiply(layer, numbers, biases, bias, given, out):  # type: ignore[no-untyped-def]
    for j in range(layer.num_out):
        out[j] = biases[bias + j]
    for i in range(layer.num_in):
        factor, start = given[i], layer.weight + i * layer.num_out
        for j in range(layer.num_out):
            out[j] += factor * numbers[start + j]


@inlined
def _activate(out, number, activation):  # type: ignore[no-untyped-def]
    for j in range(number):
        x = out[j]
        if activation == RELU:
            out[j] = max(x, np.float32(0.0))
        elif activation == TANH:
            out[j] = np.tanh(x)
        else:
            out[j] = x / (np.float32(1.0) + np.exp(-x))
