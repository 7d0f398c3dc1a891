"""Scripted policies that make logs: who drives while a log is recorded."""

from collections.abc import Callable

import numpy as np

from envs.errors import InputError, unknown_name
from envs.policy import Policy, RandomPolicy, random_streams
from envs.spec import EnvSpec

Rule = Callable[[np.ndarray], np.ndarray]
"""Actions ``[B, *A]`` for observations ``[B, *O]``."""


def _push_under_the_pole(observations: np.ndarray) -> np.ndarray:
    """CartPole: push towards where the pole falls. It balances the pole but lets the cart drift off the track."""
    return (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)


def _push_along(observations: np.ndarray) -> np.ndarray:
    """MountainCar: push in the direction of motion, which climbs the hill by swinging."""
    return np.where(observations[:, 1] < 0, 0, 2).astype(np.int64)


def _spin(observations: np.ndarray) -> np.ndarray:
    """Pendulum: torque along the rotation, which swings up but never stops at the top."""
    return 2.0 * np.sign(observations[:, 2:]).astype(np.float32)


RULES: dict[str, Rule] = {"CartPole-v1": _push_under_the_pole, "MountainCar-v0": _push_along, "Pendulum-v1": _spin}


BEHAVIOURS = ("random", "mixed")


class NoisyRulePolicy:
    """Follows a rule, but acts at random with a probability that is drawn for each episode from ``epsilons``."""

    def __init__(self, spec: EnvSpec, rule: Rule, epsilons: tuple[float, ...] = (1.0, 1.0, 0.4)):
        self.spec, self.rule, self.epsilons = spec, rule, epsilons
        self._random = RandomPolicy(spec)

    def initial_state(self, num_rows: int, seed: int) -> dict[str, np.ndarray]:
        streams = random_streams(seed, num_rows)
        return {"streams": streams, "epsilon": np.array([stream.choice(self.epsilons) for stream in streams])}

    def act(self, observations: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        actions = self.rule(observations)
        chosen, _ = self._random.act(observations, state["streams"])
        explore = np.array([stream.random() for stream in state["streams"]]) < state["epsilon"]
        return np.where(explore.reshape(-1, *[1] * (actions.ndim - 1)), chosen, actions).astype(chosen.dtype), state


def make_behaviour(name: str, spec: EnvSpec) -> Policy:
    """Returns a policy to record logs with.

    Args:
        name: ``random``; or ``mixed``: two episodes in three at random, the third by a weak rule with 40% of random
            actions, so that the log also shows what lies beyond a random policy's reach.
        spec: the environment.

    Raises:
        InputError: an unknown name, or ``mixed`` for an environment without a rule.
    """
    if name == "random":
        return RandomPolicy(spec)
    if name != "mixed":
        raise unknown_name("behaviour", name, BEHAVIOURS)
    if spec.env_id not in RULES:
        raise InputError(f"expected an environment with a scripted rule ({', '.join(RULES)}) for the mixed behaviour, "
                         f"got {spec.env_id}; record it with the random one")  # fmt: skip
    return NoisyRulePolicy(spec, RULES[spec.env_id])
