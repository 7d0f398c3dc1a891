"""Scripted policies that make logs: who drives while a log is recorded."""

from collections.abc import Callable

import numpy as np

from envs.errors import InputError, unknown_name
from envs.policy import Policy, RandomPolicy, random_streams
from envs.spec import EnvSpec

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Actions ``[B, *A]`` for observations ``[B, *O]`` and those one step before (the same at an episode's start)."""


def _push_under_the_pole(observations: np.ndarray, before: np.ndarray) -> np.ndarray:  # noqa: ARG001, a rule's face
    """CartPole: push towards where the pole falls. It balances the pole but lets the cart drift off the track."""
    return (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)


def _push_along(observations: np.ndarray, before: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """MountainCar: push in the direction of motion, which climbs the hill by swinging."""
    return np.where(observations[:, 1] < 0, 0, 2).astype(np.int64)


def _spin(observations: np.ndarray, before: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """Pendulum: torque along the rotation, which swings up but never stops at the top."""
    return 2.0 * np.sign(observations[:, 2:]).astype(np.float32)


def _swing_up(observations: np.ndarray, before: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """Acrobot: torque along the second joint's rotation, which pumps energy into it until its tip swings up."""
    return np.where(observations[:, 5] < 0, 0, 2).astype(np.int64)


def _push_under_the_seen_pole(observations: np.ndarray, before: np.ndarray) -> np.ndarray:
    """CartPole without velocities: the same, with the pole's speed from its last two angles, 0.02 s apart."""
    angle, speed = observations[:, 1], (observations[:, 1] - before[:, 1]) / 0.02
    return (angle + speed > 0).astype(np.int64)


def _spin_on(observations: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Pendulum without velocity: the same, with the direction of rotation from the last two angles."""
    turned = before[:, 0] * observations[:, 1] - before[:, 1] * observations[:, 0]
    return 2.0 * np.sign(turned)[:, None].astype(np.float32)


RULES: dict[str, Rule] = {
    "Acrobot-v1": _swing_up,
    "CartPole-v1": _push_under_the_pole,
    "MountainCar-v0": _push_along,
    "Pendulum-v1": _spin,
    "simulacra/PositionOnlyCartPole-v1": _push_under_the_seen_pole,
    "simulacra/PositionOnlyPendulum-v1": _spin_on,
}


BEHAVIOURS = ("random", "mixed")


class NoisyRulePolicy:
    """Follows a rule, but acts at random with a probability that is drawn for each episode from ``epsilons``."""

    def __init__(self, spec: EnvSpec, rule: Rule, epsilons: tuple[float, ...] = (1.0, 1.0, 0.4)):
        self.spec, self.rule, self.epsilons = spec, rule, epsilons
        self._random = RandomPolicy(spec)

    def initial_state(self, num_rows: int, seed: int) -> dict[str, np.ndarray]:
        streams = random_streams(seed, num_rows)
        epsilon = np.array([stream.choice(self.epsilons) for stream in streams])
        unseen = np.full((num_rows, *(self.spec.observation_space.shape or ())), np.nan)
        return {"streams": streams, "epsilon": epsilon, "before": unseen}

    def act(self, observations: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        before = np.where(np.isnan(state["before"]), observations, state["before"])
        actions = self.rule(observations, before)
        chosen, _ = self._random.act(observations, state["streams"])
        explore = np.array([stream.random() for stream in state["streams"]]) < state["epsilon"]
        actions = np.where(explore.reshape(-1, *[1] * (actions.ndim - 1)), chosen, actions).astype(chosen.dtype)
        return actions, {**state, "before": observations}


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
