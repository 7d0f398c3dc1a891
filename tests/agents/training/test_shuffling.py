"""A random order has every row once, and every order is as likely as any other."""

from collections import Counter

import jax
import numpy as np
import pytest

from agents.training.shuffling import _PACKED_LIMIT, random_order


@pytest.mark.parametrize("num_rows", [1, 2, 3, 500, 512, _PACKED_LIMIT, _PACKED_LIMIT + 1])
def test_every_row_is_there_once(num_rows):
    order = random_order(jax.random.key(0), num_rows)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(num_rows))


def test_all_orders_are_equally_likely():
    keys = jax.random.split(jax.random.key(1), 24_000)
    orders = np.asarray(jax.jit(jax.vmap(lambda key: random_order(key, 4)))(keys))
    counts = np.array(list(Counter(map(tuple, orders.tolist())).values()))
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 49.7  # chi-squared with 23 degrees of freedom, 0.1%


def test_the_same_key_gives_the_same_order_and_another_another():
    first, again, other = (np.asarray(random_order(jax.random.key(seed), 100)) for seed in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
