"""Numbers that are not finite: told by environment and step, by both collectors."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.configs import PPOConfig
from agents.training.compiled import make_compiled_training
from agents.training.finite import require_finite
from agents.training.hosted import train_hosted
from envs.errors import InputError
from envs.spec import EnvSpec
from tests.agents import probe_envs as probes

CONFIG = PPOConfig(total_steps=64, num_envs=4, num_steps=4, num_epochs=1, num_minibatches=1, hidden=(4,))


class Breaks(probes.Probe):
    """Counts its steps; in the eighth (number 7) a state that began at 1 gives no number as reward."""

    def outcome(self, state, action):
        broken = (jnp.abs(state[0]) > 7.5) & (state[0] > 0)
        return state + jnp.sign(state), jnp.where(broken, jnp.nan, 0.0), False, False


def test_a_compiled_training_tells_environment_and_step():
    training = make_compiled_training(Breaks(), CONFIG)
    state = training.init(jax.random.key(0), None)
    first = int((state.observation[:, 0] > 0).argmax())
    _, metrics = jax.jit(training.advance, static_argnums=3)(state, None, training.hyper, 4)
    assert metrics["bad_step"].tolist()[:2] == [-1, 3 * 4 + first]
    with pytest.raises(InputError, match=f"from probe/Breaks, got others in row {first} at step 7$"):
        require_finite(np.asarray(metrics["bad_step"]), "probe/Breaks", 4, 4, updates_before=0)
    with pytest.raises(InputError, match=f"row {first} at step 7$"):
        require_finite(np.asarray(metrics["bad_step"])[1:], "probe/Breaks", 4, 4, updates_before=1)
    require_finite(np.array([-1, -1]), "probe/Breaks", 4, 4, updates_before=0)


class BreaksAtTheEnd(gymnasium.Env):
    """Episodes of six steps; the one numbered ``row`` shows an infinity at its end."""

    observation_space, action_space = probes.OBSERVATION, gymnasium.spaces.Discrete(2)

    def __init__(self, row: int):
        self.shown_last = np.float32(np.inf if row == 2 else 0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        ended = self.num_steps == 6
        return np.full(1, self.shown_last if ended else 0, np.float32), 0.0, ended, False, {}


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_hosted_training_tells_environment_and_step(mode):
    env = SyncVectorEnv([lambda row=row: BreaksAtTheEnd(row) for row in range(4)], autoreset_mode=mode)
    spec = EnvSpec("Breaks-v0", probes.OBSERVATION, gymnasium.spaces.Discrete(2))
    with pytest.raises(InputError, match=r"from Breaks-v0, got others in row 2 at step 5$"):
        list(train_hosted(env, spec, CONFIG, seed=0))
