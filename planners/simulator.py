"""The real environment as a `WorldModel`, so that every planner runs on the truth as on a model.

Many states, one scratch environment: a step restores each row's state into it and steps it. That is a Python loop over
rows, with the speed of the real environment and no more. Rows whose episode has terminated stay where they are.

Before its first use the simulator proves that restoring works: a restored copy and the original must give the same
observations, rewards and ends, bit for bit (copies of some environments silently begin anew, and a random environment
cannot be replayed at all).

Shape legend: ``B`` rows, ``D`` length of a state vector, ``O`` the observation's shape, ``A`` the action's shape.
"""

from collections.abc import Callable, Sequence

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec, make_real
from envs.world_model import Imagined, ModelState
from planners.snapshots import Snapshot, snapshot_of

_PROOF_EPISODES = 3
_PROOF_STEPS = 24
_STEPS_BETWEEN_RESTORES = 6


class SimulatorModel:
    """A `WorldModel` that steps a real environment, on the CPU, exactly.

    Time limits are left out: they truncate, they do not terminate.

    Args:
        env: id of a registered environment, or a function that makes one.
        snapshot: reads and writes its state; None for the one known for its class.

    Raises:
        InputError: the environment's state cannot be restored exactly.
    """

    def __init__(self, env: str | Callable[[], gymnasium.Env], snapshot: Snapshot | None = None):
        make_env = (lambda: make_real(env)) if isinstance(env, str) else env
        whole = make_env()
        registered = whole.spec
        self._scratch = _without_limits(whole)
        self.spec = EnvSpec(
            env_id=registered.id if registered else type(self._scratch.unwrapped).__name__,
            observation_space=self._scratch.observation_space,
            action_space=self._scratch.action_space,
            max_episode_steps=registered.max_episode_steps if registered else None,
        )
        self.device = torch.device("cpu")
        self._snapshot = snapshot_of(self._scratch) if snapshot is None else snapshot
        self._scratch.reset(seed=0)
        original = _without_limits(make_env())
        try:
            prove_restorable(original, self._scratch, self._snapshot)
        finally:
            original.close()

    def capture(self, envs: Sequence[gymnasium.Env], observations: np.ndarray) -> ModelState:
        """Returns the exact state of running environments and what they show now, ``[B, *O]``."""
        vectors = np.stack([self._snapshot.capture(env.unwrapped) for env in envs])
        return self._make_state(vectors, torch.as_tensor(observations))

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the state that an ``observation`` ``[B, *O]`` shows, to its precision; the other two are not needed.

        Raises:
            InputError: the observation does not show the whole state; use `capture`.
        """
        del previous, action
        if self._snapshot.from_observation is None:
            raise InputError(f"an observation of {self.spec.env_id} does not show its state; capture it from the env")
        vectors = np.stack([self._snapshot.from_observation(row) for row in observation.numpy()])
        return self._make_state(vectors, observation)

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Steps each row for real; there is no chance in it, so ``generator`` is not used."""
        del generator
        vectors, observations = state["vector"].numpy().copy(), state["observation"].numpy().copy()
        ended, rewards = state["ended"].numpy().copy(), np.zeros(len(vectors), np.float32)
        actions = action.detach().numpy()
        for row in np.flatnonzero(~ended):
            self._snapshot.restore(self._scratch.unwrapped, vectors[row])
            observations[row], rewards[row], ended[row], _, _ = self._scratch.step(actions[row])
            vectors[row] = self._snapshot.capture(self._scratch.unwrapped)
        after = self._make_state(vectors, torch.from_numpy(observations), ended)
        continuation = torch.from_numpy(~ended).float()
        nothing = torch.zeros(len(vectors))  # it knows for sure
        return Imagined(after, after["observation"], torch.from_numpy(rewards), continuation, nothing, nothing)

    def _make_state(self, vectors: np.ndarray, observation: Tensor, ended: np.ndarray | None = None) -> ModelState:
        flags = np.zeros(len(vectors), bool) if ended is None else ended
        return {"vector": torch.from_numpy(vectors), "observation": observation, "ended": torch.from_numpy(flags)}


def prove_restorable(original: gymnasium.Env, copy: gymnasium.Env, snapshot: Snapshot) -> None:
    """Raises `InputError` unless ``copy``, restored from ``original``, then does the same, bit for bit.

    Both are stepped with the same random actions, from the start and from the midst of several episodes; before each
    restoring the copy is led elsewhere, through another number of steps, so that a hidden counter shows.
    """
    original.action_space.seed(0)
    for episode in range(_PROOF_EPISODES):
        original.reset(seed=episode)
        ended, steps = False, 0
        while not ended and steps < _PROOF_STEPS:
            if steps % _STEPS_BETWEEN_RESTORES == 0:
                _lead_elsewhere(copy, steps)
                snapshot.restore(copy.unwrapped, snapshot.capture(original.unwrapped))
            action = original.action_space.sample()
            outcome = original.step(action)
            same = _same_outcome(outcome, copy.step(action))
            states = snapshot.capture(original.unwrapped), snapshot.capture(copy.unwrapped)
            if not same or not np.array_equal(*states):
                raise InputError(
                    f"the state of {original.unwrapped} cannot be restored exactly: a restored copy went its own way "
                    f"within {_STEPS_BETWEEN_RESTORES} steps, so it is random or remembers more than was captured"
                )
            ended, steps = bool(outcome[2]), steps + 1


def _lead_elsewhere(env: gymnasium.Env, seed: int) -> None:
    env.reset(seed=1000 + seed)
    for _ in range(1 + seed // _STEPS_BETWEEN_RESTORES):
        if env.step(env.action_space.sample())[2]:
            env.reset()


def _same_outcome(left: tuple, right: tuple) -> bool:
    same_observation = np.asarray(left[0]).tobytes() == np.asarray(right[0]).tobytes()
    return same_observation and float(left[1]) == float(right[1]) and bool(left[2]) == bool(right[2])


def _without_limits(env: gymnasium.Env) -> gymnasium.Env:
    """Takes off the outer wrappers that do not belong to the dynamics."""
    while isinstance(env, TimeLimit | OrderEnforcing | PassiveEnvChecker):
        env = env.env
    return env
