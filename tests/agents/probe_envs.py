"""Probe environments: tiny, with analytic answers, each of which isolates one fault of an agent (after rejax)."""

from functools import cache
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.spec import EnvSpec

OBSERVATION = spaces.Box(-1.0, 1.0, (1,), np.float32)


class Probe:
    """A functional environment with two actions; subclasses say what a step does."""

    def __init__(self) -> None:
        self.spec = EnvSpec(f"probe/{type(self).__name__}", OBSERVATION, spaces.Discrete(2))

    @property
    def default_params(self) -> None:
        return None

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        observation = jnp.where(jax.random.bernoulli(key), jnp.ones(1), -jnp.ones(1))
        return observation, observation

    def outcome(self, state: jax.Array, action: jax.Array) -> tuple[Any, Any, Any, Any]:
        """Returns the next state (its observation), reward, terminated, truncated."""
        raise NotImplementedError

    def observe(self, state: jax.Array) -> jax.Array:
        """Returns what is seen of a state: all of it, unless a probe hides some."""
        return state

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array, params: Any) -> tuple:
        state, reward, terminated, truncated = self.outcome(state, action)
        return self.observe(state), state, jnp.float32(reward), jnp.bool_(terminated), jnp.bool_(truncated), {}


class ConstantReward(Probe):
    """Reward 1, one step: value 1. Fails if the value loss is wrong."""

    def outcome(self, state, action):
        return state, 1.0, True, False


class RewardByObservation(Probe):
    """Reward is the observation, one step: value(o) = o. Fails if observations do not reach the critic."""

    def outcome(self, state, action):
        return state, state[0], True, False


class RewardByAction(Probe):
    """Reward 1 for action 1 where o > 0 and for action 0 elsewhere. Fails if the policy loss is wrong."""

    def outcome(self, state, action):
        return state, jnp.where((state[0] > 0) == (action == 1), 1.0, 0.0), True, False


class TwoSteps(Probe):
    """0 then 1: value gamma at the start (o = 0), 1 afterwards (o = 1). Fails if discounting is wrong."""

    def reset(self, key, params):
        return jnp.zeros(1), jnp.zeros(1)

    def outcome(self, state, action):
        return jnp.ones(1), jnp.where(state[0] > 0.5, 1.0, 0.0), state[0] > 0.5, False


class Endless(Probe):
    """Reward 1 for ever, truncated after every step: value 1 / (1 - gamma). Fails if a time limit ends the return."""

    def reset(self, key, params):
        return jnp.zeros(1), jnp.zeros(1)

    def outcome(self, state, action):
        return state, 1.0, False, True


class CutAtRandom(Probe):
    """Reward 1 for ever, truncated after one step in four: value 1 / (1 - gamma), whatever is remembered.

    As `Endless`, for agents that remember: they meet each length of a memory in the middle of episodes too.
    """

    def reset(self, key, params):
        return jnp.zeros(1), jnp.zeros(1)

    def step(self, key, state, action, params):
        return state, state, jnp.float32(1), jnp.bool_(False), jax.random.bernoulli(key, 0.25), {}


class StartsElsewhere(Probe):
    """Truncated after one step at o = 1, which is worth 1/(1-gamma) by itself; episodes start at o = -1 (reward 0).

    Value(-1) = gamma * value(1): fails if the next episode's start is bootstrapped from instead of the final
    observation.
    """

    def reset(self, key, params):
        start = jnp.where(jax.random.bernoulli(key), 1.0, -1.0) * jnp.ones(1)
        return start, start

    def outcome(self, state, action):
        return jnp.ones(1), jnp.where(state[0] > 0, 1.0, 0.0), False, True


class WorthlessEnd(Probe):
    """From o = 1 to o = -1, reward 1, mostly cut there; from o = -1 a termination, reward 0: values 1 and 0.

    Fails if the next episode's start is bootstrapped from instead of the final observation, and passes if a time limit
    ends the return: what comes after it is worth nothing.
    """

    def step(self, key, state, action, params):
        good = state[0] > 0
        end = -jnp.ones(1)
        return end, end, jnp.where(good, 1.0, 0.0), ~good, good & jax.random.bernoulli(key, 0.75), {}


class Recall(Probe):
    """The first observation tells which action pays two steps later, when nothing is seen of it any more.

    The state is halved in each step; only the first, 1 or -1, is seen. Fails if nothing is remembered: half of the
    guesses are right.
    """

    def outcome(self, state, action):
        last = jnp.abs(state[0]) < 0.3
        right = (state[0] > 0) == (action == 1)
        return state / 2, jnp.where(last & right, 1.0, 0.0), last, False

    def observe(self, state):
        return jnp.where(jnp.abs(state) > 0.9, state, 0.0)


class BothEnds(Probe):
    """From o = -1 a time limit at o = 1, reward 0; from there a termination, reward 1.

    Values gamma and 1: a truncation that ends the return gives 0 at -1, the next episode's start bootstrapped from
    gives a third, a termination that is bootstrapped through more than 1.
    """

    def outcome(self, state, action):
        late = state[0] > 0
        return jnp.ones(1), jnp.where(late, 1.0, 0.0), late, ~late


class HitTheTarget(Probe):
    """Reward -(a - 2 o)^2 for actions in [-1, 3], one step: the best action is 2 o, or the bound -1."""

    def __init__(self) -> None:
        self.spec = EnvSpec("probe/HitTheTarget", OBSERVATION, spaces.Box(-1.0, 3.0, (1,), np.float32))

    def outcome(self, state, action):
        return state, -((action[0] - 2 * state[0]) ** 2), True, False


class WithBoxActions(Probe):
    """A probe with actions in [-1, 3]: those above 1 are its action 1."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.spec = EnvSpec(probe.spec.env_id, OBSERVATION, spaces.Box(-1.0, 3.0, (1,), np.float32))

    def reset(self, key, params):
        return self.probe.reset(key, params)

    def step(self, key, state, action, params):
        return self.probe.step(key, state, (action[0] > 1.0).astype(jnp.int32), params)

    def outcome(self, state, action):
        return self.probe.outcome(state, action[0] > 1.0)


class AnyOf(Probe):
    """One of several kinds of probes with the same spaces, chosen by its parameter, so that they train side by side."""

    def __init__(self, *kinds: type[Probe]) -> None:
        super().__init__()
        self.kinds = kinds

    def reset(self, key, params):
        return jax.lax.switch(params, [lambda key, kind=kind: kind().reset(key, None) for kind in self.kinds], key)

    def step(self, key, state, action, params):
        kinds = [lambda *given, kind=kind: kind().step(*given, None) for kind in self.kinds]
        return jax.lax.switch(params, kinds, key, state, action)


class HostProbe(gymnasium.Env):
    """A probe behind the plain Gymnasium interface, for the host collector."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.observation_space, self.action_space = probe.spec.observation_space, probe.spec.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        observation, self.state = _compiled_probe(self.probe)[0](np.uint32(self.np_random.integers(2**31)))
        return np.array(observation), {}

    def step(self, action):
        seed = np.uint32(self.np_random.integers(2**31))
        observation, self.state, *told = _compiled_probe(self.probe)[1](self.state, action, seed)
        reward, terminated, truncated = told
        return np.array(observation), float(reward), bool(terminated), bool(truncated), {}


@cache
def _compiled_probe(probe: Probe) -> tuple:
    """Returns reset and step on the host, compiled: one by one their operations would take as long as a training."""
    step = jax.jit(lambda state, action, seed: probe.step(jax.random.key(seed), state, action, None)[:5])
    return jax.jit(lambda seed: probe.reset(jax.random.key(seed), None)), step
