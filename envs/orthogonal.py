"""Random orthogonal weights of many layers at once (Saxe et al. 2014, as in `jax.nn.initializers.orthogonal`).

They are made by Gram-Schmidt, not by LAPACK's decomposition: on the CPU, jaxlib 0.10.2 spreads a batch of those over
the very threads that wait for them, so that a vmapped initialisation can wait for ever. One draw and one loop serve
all layers: for each layer's own, the compiler would take as long again.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

_SMALLEST_NORM = 1e-30


def orthogonal_weights(key: jax.Array, shapes: Sequence[tuple[int, int]]) -> list[jax.Array]:
    """Returns a uniformly random float32 matrix of each shape whose columns, or rows if fewer, are orthonormal."""
    height, width = max(max(shape) for shape in shapes), max(min(shape) for shape in shapes)
    heights = jnp.array([max(shape) for shape in shapes])
    # Drawn flat: with several axes, the compiler would take three times as long.
    gaussian = jax.random.normal(key, (len(shapes) * height * width,)).reshape(-1, height, width)
    # With zeros below a layer's height, its first columns are those of the layer made alone.
    inside = jnp.arange(height)[:, None] < heights[:, None, None]
    matrices = jax.vmap(orthonormal_columns)(jnp.where(inside, gaussian, 0.0))
    weights = (matrix[: max(shape), : min(shape)] for matrix, shape in zip(matrices, shapes, strict=True))
    return [w if w.shape == shape else w.T for w, shape in zip(weights, shapes, strict=True)]


def orthonormal_columns(matrix: jax.Array) -> jax.Array:
    """Returns ``[H, W]`` with orthonormal columns that span, one after the other, what those of ``matrix`` span.

    Of Gaussian columns this makes uniformly random ones (Mezzadri 2007). Columns beyond the matrix's rank mean nothing.
    """

    def add_column(i: jax.Array, done: jax.Array) -> jax.Array:
        column = matrix[:, i]
        for _ in range(2):  # rounding leaves too much of the others after one time; "twice is enough" (Parlett 1980)
            column = column - done @ (done.T @ column)
        return done.at[:, i].set(column / jnp.maximum(jnp.linalg.norm(column), _SMALLEST_NORM))

    return jax.lax.fori_loop(0, matrix.shape[1], add_column, jnp.zeros_like(matrix))
