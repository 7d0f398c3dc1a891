"""The bandit that pays by the distance to a target, by hand; conformance is in tests/envs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.mlp import apply_mlp
from envs.spec import EnvSpec
from synthetic_envs.configs import TargetBanditConfig
from synthetic_envs.distillation import distil_bandit
from synthetic_envs.target_bandit import TargetBandit
from tests.synthetic_envs.test_distillation import QUICK

OBSERVATION = spaces.Box(-5, 5, (2,), np.float32)
ACTION = spaces.Box(np.float32([-1, 0]), np.float32([1, 4]))
CONFIG = TargetBanditConfig((8,), (8,))
BANDIT = TargetBandit(EnvSpec("Toy-v0", OBSERVATION, ACTION), CONFIG)
PARAMS = BANDIT.init_params(jax.random.key(1))


def test_pay_falls_with_the_squared_distance_in_half_ranges():
    context = jnp.array([0.5, -1.0])
    target = apply_mlp(PARAMS["reward"], context, "relu")
    paid = [
        float(BANDIT.reward(PARAMS, context, target + jnp.array(off))) for off in ([0, 0], [0.5, 0], [0, -1], [1, 2])
    ]
    assert paid == pytest.approx([0.0, -(0.5**2) / 2, -(0.5**2) / 2, -1.0], abs=1e-6)


def test_it_needs_bounded_box_actions():
    for space in (spaces.Discrete(3), spaces.Box(-np.inf, np.inf, (1,))):
        with pytest.raises(
            InputError, match="expected a bounded vector Box action space for a target bandit, Toy-v0 has"
        ):
            TargetBandit(EnvSpec("Toy-v0", OBSERVATION, space), CONFIG)


def test_distilled_its_target_is_what_the_teacher_does():
    rows = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)

    def teach(observations: np.ndarray) -> jax.Array:
        return jnp.clip(
            jnp.asarray(observations) * jnp.array([1.0, -1.0]) + jnp.array([0.0, 2.0]), ACTION.low, ACTION.high
        )

    found = distil_bandit(BANDIT, rows, teach, QUICK, seed=0)
    assert found.agreement > 0.9
    told = apply_mlp(found.params["reward"], jnp.array([[0.5, -1.0], [-0.5, 1.0]]), "relu")
    np.testing.assert_allclose(told, [[0.5, 3.0], [-0.5, 1.0]], atol=0.15)
