"""A bandit from a teacher: contexts like the observations, pay by hand, best paid is what the teacher does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec, spec_of
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, DistillationConfig
from synthetic_envs.distillation import distil, energy_distance, pay

BOX = spaces.Box(-np.array([2, 1], np.float32), np.array([2, 3], np.float32))
RNG = np.random.default_rng(0)
# Two clouds, in dimensions of very different scale.
CLOUDS = np.concatenate(
    [RNG.normal((-0.9, 0.01), (0.1, 0.01), (1500, 2)), RNG.normal((0.3, -0.03), (0.1, 0.005), (500, 2))]
)
QUICK = DistillationConfig(num_contexts=4000, context_steps=300, reward_steps=1500)


def push_along(observations: np.ndarray) -> np.ndarray:
    """MountainCar's rule: its first number does not matter, the second one is a hundredth of it."""
    return np.where(observations[:, 1] < 0, 0, 2)


def test_alike_samples_have_no_energy_distance_and_others_have_their_own():
    left, right = (jax.random.normal(jax.random.key(i), (2000, 1)) for i in range(2))
    assert float(energy_distance(left, right)) == pytest.approx(0, abs=0.01)
    # Far apart only the distance between them counts: 2 * 10 - 2 * E|X - X'|, the latter 2 / sqrt(pi) for normal draws.
    assert float(energy_distance(left, right + 10)) == pytest.approx(20 - 4 / np.sqrt(np.pi), rel=0.02)


def test_pay_by_hand():
    np.testing.assert_array_equal(pay(spaces.Discrete(3), jnp.array([0, 1, 2]), jnp.array([0, 2, 2])), [1, 0, 1])
    # Half ranges 2 and 1... of [-2, 2] and [-1, 3] they are 2 and 2.
    np.testing.assert_allclose(pay(BOX, jnp.array([[2.0, 1.0]]), jnp.array([[0.0, 3.0]])), [-1.0])


@pytest.fixture(scope="module")
def distilled():
    bandit = Bandit(spec_of("MountainCar-v0"), BanditConfig())
    return bandit, distil(bandit, CLOUDS.astype(np.float32), push_along, QUICK, seed=0)


def test_contexts_lie_where_the_observations_do(distilled):
    bandit, found = distilled
    contexts = jax.vmap(lambda key: bandit.reset(key, found.params)[0])(jax.random.split(jax.random.key(9), 2000))
    scale = CLOUDS.std(0)
    apart = energy_distance(jnp.asarray(contexts) / scale, jnp.asarray(CLOUDS[:2000], jnp.float32) / scale)
    fresh = bandit.init_params(jax.random.key(0))
    before = jax.vmap(lambda key: bandit.reset(key, fresh)[0])(jax.random.split(jax.random.key(9), 2000))
    assert float(apart) < 0.05 < 0.3 < float(energy_distance(jnp.asarray(before) / scale, CLOUDS[:2000] / scale))


def test_what_is_paid_best_is_what_the_teacher_does(distilled):
    bandit, found = distilled
    assert found.agreement > 0.97
    observations = jnp.array([[-0.9, 0.01], [-0.9, -0.005], [0.3, -0.03]])
    paid = jnp.stack([bandit.reward(found.params, observations, jnp.full(3, action)) for action in range(3)])
    np.testing.assert_array_equal(paid.argmax(0), [2, 0, 0])
    np.testing.assert_allclose(paid.max(0), 1.0, atol=0.3)


def test_box_actions_are_paid_by_their_distance_and_the_same_seed_gives_the_same():
    spec = EnvSpec("Toy-v0", spaces.Box(-5, 5, (2,), np.float32), BOX)
    bandit, rows = Bandit(spec, BanditConfig()), RNG.normal(size=(1000, 2)).astype(np.float32)

    def teach(observations: np.ndarray) -> np.ndarray:
        return np.clip(observations + np.array([0.0, 1.0], np.float32), BOX.low, BOX.high)

    first, again = (distil(bandit, rows, teach, QUICK, seed=3) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    assert first.agreement > 0.8
    paid = [float(bandit.reward(first.params, jnp.zeros(2), jnp.array(one))) for one in ([0.0, 1.0], [2.0, 1.0])]
    assert paid[0] == pytest.approx(0.0, abs=0.1)
    assert paid[1] == pytest.approx(-0.5, abs=0.15)


def test_what_cannot_be_distilled_is_told():
    bandit = Bandit(spec_of("MountainCar-v0"), BanditConfig())
    with pytest.raises(InputError, match="at least 2 observations to place contexts by, got 1"):
        distil(bandit, CLOUDS[:1], push_along, QUICK, 0)
    endless = Bandit(EnvSpec("Toy-v0", BOX, spaces.Box(-np.inf, np.inf, (1,))), BanditConfig())
    with pytest.raises(InputError, match="expected Discrete or bounded actions to distil"):
        distil(endless, CLOUDS, push_along, QUICK, 0)
    with pytest.raises(InputError, match="the distillation's num_contexts of at least 10, got 3"):
        DistillationConfig(num_contexts=3)
