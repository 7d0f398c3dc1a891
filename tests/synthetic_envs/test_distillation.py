"""Synthetic environments from a teacher: states like the observations, best paid is what the teacher does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.functional_copies import functional_copy
from envs.logs import Transitions
from envs.spec import EnvSpec, spec_of
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, DistillationConfig, MDPConfig, RewardNetworkConfig
from synthetic_envs.distillation import distil_bandit, distil_mdp, distil_potential
from synthetic_envs.fitting import energy_distance
from synthetic_envs.lessons import lessons_from_choices, lessons_from_values
from synthetic_envs.mdp import SyntheticMDP
from synthetic_envs.reward_network import RewardNetwork

BOX = spaces.Box(-np.array([2, 1], np.float32), np.array([2, 3], np.float32))
RNG = np.random.default_rng(0)
# Two clouds, in dimensions of very different scale.
CLOUDS = np.concatenate(
    [RNG.normal((-0.9, 0.01), (0.1, 0.01), (1500, 2)), RNG.normal((0.3, -0.03), (0.1, 0.005), (500, 2))]
)
QUICK = DistillationConfig(num_contexts=4000, context_steps=300, reward_steps=1500)


def push_along(observations: np.ndarray) -> jax.Array:
    """MountainCar's rule: its first number does not matter, the second one is a hundredth of it."""
    return lessons_from_choices(spaces.Discrete(3), np.where(observations[:, 1] < 0, 0, 2))


def test_alike_samples_have_no_energy_distance_and_others_have_their_own():
    left, right = (jax.random.normal(jax.random.key(i), (2000, 1)) for i in range(2))
    assert float(energy_distance(left, right)) == pytest.approx(0, abs=0.01)
    # Far apart only the distance between them counts: 2 * 10 - 2 * E|X - X'|, the latter 2 / sqrt(pi) for normal draws.
    assert float(energy_distance(left, right + 10)) == pytest.approx(20 - 4 / np.sqrt(np.pi), rel=0.02)


@pytest.fixture(scope="module")
def distilled():
    bandit = Bandit(spec_of("MountainCar-v0"), BanditConfig())
    return bandit, distil_bandit(bandit, CLOUDS.astype(np.float32), push_along, QUICK, seed=0)


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
    np.testing.assert_allclose(paid.max(0), 0.0, atol=0.3)


def test_box_actions_are_paid_by_their_distance_and_the_same_seed_gives_the_same():
    spec = EnvSpec("Toy-v0", spaces.Box(-5, 5, (2,), np.float32), BOX)
    bandit, rows = Bandit(spec, BanditConfig()), RNG.normal(size=(1000, 2)).astype(np.float32)

    def teach(observations: np.ndarray) -> jax.Array:
        return jnp.clip(observations + np.array([0.0, 1.0], np.float32), BOX.low, BOX.high)

    first, again = (distil_bandit(bandit, rows, teach, QUICK, seed=3) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    assert first.agreement > 0.8
    paid = [float(bandit.reward(first.params, jnp.zeros(2), jnp.array(one))) for one in ([0.0, 1.0], [2.0, 1.0])]
    assert paid[0] == pytest.approx(0.0, abs=0.1)
    assert paid[1] == pytest.approx(-0.5, abs=0.15)


def car_steps(num_steps: int) -> Transitions:
    """Single steps of MountainCar from anywhere, random."""
    car = functional_copy("MountainCar-v0")
    place_key, speed_key, action_key = jax.random.split(jax.random.key(1), 3)
    place = jax.random.uniform(place_key, (num_steps,), minval=-1.2, maxval=0.6)
    speed = jax.random.uniform(speed_key, (num_steps,), minval=-0.07, maxval=0.07)
    actions = jax.random.randint(action_key, (num_steps,), 0, 3)
    _, state = car.reset(jax.random.key(0), car.default_params)

    def one(place: jax.Array, speed: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        after, _, _, ended, *_ = car.step(
            jax.random.key(0), state.replace(position=place, velocity=speed), action, car.default_params
        )
        return after, ended

    after, ended = jax.vmap(one)(place, speed, actions)
    before = np.stack([place, speed], axis=-1)
    rewards, never = np.full(num_steps, -1.0, np.float32), np.zeros(num_steps, bool)
    return Transitions(before, np.asarray(actions), rewards, np.asarray(ended), never, np.asarray(after))


@pytest.mark.parametrize("predicts", ["state", "change"])
def test_an_mdp_follows_real_steps_and_pays_for_what_the_teacher_does(predicts):
    config = MDPConfig(starts="learned", predicts=predicts, max_steps=20, hidden=(64,))
    mdp, steps = SyntheticMDP(spec_of("MountainCar-v0"), config), car_steps(6000)
    found = distil_mdp(mdp, steps, push_along, QUICK, seed=0)
    assert found.agreement > 0.95
    after, reward, ended = mdp.transition(found.params, jnp.asarray(steps.observation), jnp.asarray(steps.action))
    error = ((after - steps.next_observation) ** 2).mean(0) / steps.next_observation.var(0)
    assert (np.asarray(error) < 0.05).all()
    assert not ended.any()
    paid = push_along(steps.observation)[np.arange(6000), steps.action]
    assert np.corrcoef(reward, paid)[0, 1] > 0.9
    starts = jax.vmap(lambda key: mdp.reset(key, found.params)[0])(jax.random.split(jax.random.key(3), 500))
    np.testing.assert_allclose(np.asarray(starts).mean(0), steps.observation.mean(0), atol=0.1)


def test_a_potential_follows_the_values_it_is_fitted_to():
    network = RewardNetwork(functional_copy("MountainCar-v0"), RewardNetworkConfig())
    rows = car_steps(3000).observation
    values = -80 + 30 * np.sin(3 * rows[:, 0])
    found = distil_potential(network, rows, values, QUICK, seed=0)
    assert found.agreement > 0.95
    told = network.potential(found.params, jnp.array([[-0.5, 0.0], [0.4, 0.01]]))
    np.testing.assert_allclose(told, [-80 + 30 * np.sin(-1.5), -80 + 30 * np.sin(1.2)], atol=5)
    free = RewardNetwork(functional_copy("MountainCar-v0"), RewardNetworkConfig(kind="free"))
    with pytest.raises(InputError, match="expected a reward network of the potential kind to distil, got free"):
        distil_potential(free, rows, values, QUICK, seed=0)


def test_lessons_from_values_reach_the_bandit(distilled):
    """A wrong action that costs nothing is paid nearly as well as the right one."""
    bandit, _ = distilled

    def rate(observations: np.ndarray) -> jax.Array:
        ones = np.ones(len(observations))
        return lessons_from_values(jnp.stack([-ones, 4 * (observations[:, 1] < 0), 0.01 * ones], axis=-1))

    found = distil_bandit(bandit, CLOUDS.astype(np.float32), rate, QUICK, seed=0)
    pays = [float(bandit.reward(found.params, jnp.array([0.3, -0.03]), jnp.array(action))) for action in range(3)]
    assert pays[1] > pays[2] > pays[0]


def test_what_cannot_be_distilled_is_told():
    bandit = Bandit(spec_of("MountainCar-v0"), BanditConfig())
    with pytest.raises(InputError, match="at least 2 observations to place states by, got 1"):
        distil_bandit(bandit, CLOUDS[:1], push_along, QUICK, 0)
    endless = Bandit(EnvSpec("Toy-v0", BOX, spaces.Box(-np.inf, np.inf, (1,))), BanditConfig())
    with pytest.raises(InputError, match="expected Discrete or bounded actions to distil"):
        distil_bandit(endless, CLOUDS, push_along, QUICK, 0)
    with pytest.raises(InputError, match="the distillation's num_contexts of at least 10, got 3"):
        DistillationConfig(num_contexts=3)
