"""What actions are paid for, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from synthetic_envs.lessons import agreement, draw_actions, lessons_from_choices, lessons_from_values, pay

BOX = spaces.Box(-np.array([2, 1], np.float32), np.array([2, 3], np.float32))
THREE = spaces.Discrete(3, start=1)


def test_a_choice_is_paid_0_and_all_else_less():
    lessons = lessons_from_choices(THREE, np.array([1, 3]))
    np.testing.assert_array_equal(lessons, [[0, -1, -1], [-1, -1, 0]])
    np.testing.assert_array_equal(pay(THREE, jnp.array([1, 2]), lessons), [0, -1])
    # Half ranges 2 and 1... of [-2, 2] and [-1, 3] they are 2 and 2.
    np.testing.assert_allclose(pay(BOX, jnp.array([[2.0, 1.0]]), jnp.array([[0.0, 3.0]])), [-1.0])


def test_values_are_paid_by_the_root_of_what_is_lost_in_its_own_unit():
    values = jnp.array([[5.0, 4.0, 1.0], [2.0, 2.0, 2.0]])
    lessons = np.asarray(lessons_from_values(values))
    unit = np.std([0, 1, 4, 0, 0, 0])
    np.testing.assert_allclose(lessons, [[0, -((1 / unit) ** 0.5), -((4 / unit) ** 0.5)], [0, 0, 0]], rtol=1e-5)
    np.testing.assert_allclose(lessons_from_values(100 * values - 7), lessons, rtol=1e-4)


def test_drawn_actions_lie_in_the_space_and_half_of_a_boxs_near_the_teachers():
    lessons = jnp.tile(jnp.array([1.9, -1.0]), (4000, 1))
    drawn = np.asarray(draw_actions(BOX, lessons, jax.random.key(0)))
    assert BOX.contains(drawn.min(0))
    assert BOX.contains(drawn.max(0))
    near = np.abs(drawn - [1.9, -1.0]).mean(1)
    assert near[1::2].mean() < 0.4 < 1.0 < near[::2].mean()
    ones = np.asarray(draw_actions(THREE, jnp.zeros((300, 3)), jax.random.key(0)))
    assert set(ones) == {1, 2, 3}


@pytest.mark.parametrize("worst", [False, True])
def test_agreement_tells_who_pays_best_for_what_the_teacher_does(worst):
    observations, lessons = jnp.zeros((50, 2)), lessons_from_choices(THREE, np.full(50, 2))

    def reward_fn(observations: jax.Array, actions: jax.Array) -> jax.Array:
        del observations
        return jnp.where(actions == (3 if worst else 2), 1.0, 0.0)

    assert agreement(THREE, reward_fn, observations, lessons, jax.random.key(0)) == (0.0 if worst else 1.0)
