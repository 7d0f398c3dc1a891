"""Generalised advantages against hand-computed values, above all at ends of both kinds."""

import jax.numpy as jnp
import numpy as np

from agents.equations.advantages import gae

F, T = False, True


def advantages(terminated: list[bool], truncated: list[bool]) -> np.ndarray:
    reward, value, next_value = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, 1.0, 1.5]), jnp.array([1.0, 1.5, 2.0])
    ends = jnp.array(terminated), jnp.array(truncated)
    return np.asarray(gae(reward, value, next_value, *ends, gamma=0.5, gae_lambda=0.5))


def test_without_an_end_errors_are_summed_with_decay():
    # deltas: 1 + .5 - .5 = 1, 2 + .75 - 1 = 1.75, 3 + 1 - 1.5 = 2.5; decay .25
    np.testing.assert_allclose(advantages([F, F, F], [F, F, F]), [1 + 0.25 * (1.75 + 0.25 * 2.5), 2.375, 2.5])


def test_a_termination_is_worth_nothing_afterwards_and_ends_the_trace():
    # the middle delta loses its next value: 2 - 1 = 1, and nothing of the last step reaches back
    np.testing.assert_allclose(advantages([F, T, F], [F, F, F]), [1 + 0.25 * 1.0, 1.0, 2.5])


def test_a_truncation_keeps_the_next_value_and_ends_the_trace():
    np.testing.assert_allclose(advantages([F, F, F], [F, T, F]), [1 + 0.25 * 1.75, 1.75, 2.5])


def test_lambda_one_gives_discounted_returns_minus_values():
    reward = jnp.array([[1.0], [1.0], [1.0]])
    zero, no = jnp.zeros((3, 1)), jnp.zeros((3, 1), bool)
    found = gae(reward, zero + 2.0, zero, no, no, gamma=0.9, gae_lambda=1.0)
    # next values are 0 and values 2, so the deltas are -1
    np.testing.assert_allclose(found[:, 0], [-(1 + 0.9 + 0.81), -(1 + 0.9), -1], rtol=1e-6)
