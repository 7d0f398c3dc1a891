"""The real environment as a `WorldModel`, so that every planner runs on the truth as on a model.

Many states, one scratch environment: a step restores each row's state into it and steps it. That is a Python loop over
rows, with the speed of the real environment and no more. Rows whose episode has terminated stay where they are.

Before its first use the simulator proves that restoring works (`planners.proof`).

Where an observation shows the whole state, planning needs no more than observations. Elsewhere the environment that is
acted in has to be watched (`SimulatorModel.watch`): its state is captured at every step, and found again by what it
showed.

Shape legend: ``B`` rows, ``D`` length of a state vector, ``O`` the observation's shape, ``A`` the action's shape.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec, make_real
from envs.world_model import Imagination, Imagined, ModelState
from planners.proof import prove_restorable, target
from planners.replay import RecordedEnv, recorded
from planners.snapshots import Snapshot, snapshot_of


class Scratch:
    """One environment that is put into any state and stepped from there.

    Attributes:
        step: steps it.
    """

    def __init__(self, env: gymnasium.Env, snapshot: Snapshot):
        self.env, self.step = env, env.step
        self._snapshot, self._target = snapshot, target(env, snapshot)

    def restore(self, vector: np.ndarray) -> None:
        """Puts it into the state ``[D]``."""
        self._snapshot.restore(self._target, vector)

    def capture(self) -> np.ndarray:
        """Returns the state ``[D]`` that it is in."""
        return self._snapshot.capture(self._target)


class SimulatorModel:
    """A `WorldModel` that steps a real environment, on the CPU, exactly.

    Time limits are left out: they truncate, they do not terminate.

    Args:
        env: id of a registered environment, or a function that makes one.
        snapshot: reads and writes its state; None for the one known for its class, or else by replaying its actions.

    Raises:
        InputError: the environment's state cannot be restored exactly.
    """

    def __init__(self, env: str | Callable[[], gymnasium.Env], snapshot: Snapshot | None = None):
        make_env = (lambda: make_real(env)) if isinstance(env, str) else env
        whole = make_env()
        registered = whole.spec
        self._snapshot = snapshot_of(_without_limits(whole)) if snapshot is None else snapshot
        env_of_its_own = self._prepared(_without_limits(whole))
        self.spec = EnvSpec(
            env_id=registered.id if registered else type(env_of_its_own.unwrapped).__name__,
            observation_space=env_of_its_own.observation_space,
            action_space=env_of_its_own.action_space,
            max_episode_steps=registered.max_episode_steps if registered else None,
        )
        self.device = torch.device("cpu")
        self.scratch = Scratch(env_of_its_own, self._snapshot)
        self._watched: dict[WatchedEnv, tuple[bytes, np.ndarray]] = {}
        env_of_its_own.reset(seed=0)
        original = self._prepared(_without_limits(make_env()))
        try:
            prove_restorable(original, env_of_its_own, self._snapshot)
        finally:
            original.close()

    def _prepared(self, env: gymnasium.Env) -> gymnasium.Env:
        return RecordedEnv(env) if self._snapshot.replays else env

    @property
    def needs_watching(self) -> bool:
        """Whether `encode` needs the environment that is acted in to be watched."""
        return self._snapshot.from_observation is None

    def watch(self, env: gymnasium.Env) -> gymnasium.Env:
        """Returns ``env``, wrapped so that its state is captured at every step; it must not have been reset before."""
        return WatchedEnv(self._prepared(env), self._note)

    def _note(self, env: "WatchedEnv", observation: np.ndarray | None) -> None:
        if observation is None:
            self._watched.pop(env, None)
            return
        self._watched[env] = (np.asarray(observation).tobytes(), self._vector_of(env))

    def _vector_of(self, env: gymnasium.Env) -> np.ndarray:
        return self._snapshot.capture(recorded(env) if self._snapshot.replays else env.unwrapped)

    def capture(self, envs: Sequence[gymnasium.Env], observations: np.ndarray) -> ModelState:
        """Returns the exact state of running environments and what they show now, ``[B, *O]``."""
        vectors = np.stack([self._vector_of(env) for env in envs])
        return self._make_state(vectors, torch.as_tensor(observations))

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the state that an ``observation`` ``[B, *O]`` shows, to its precision, or that of the watched
        environment which shows it now, exactly; the other two are not needed.

        Raises:
            InputError: the observation does not show the whole state, and no watched environment shows it, or two that
                are in different states do.
        """
        del previous, action
        rows = observation.numpy()
        if self._snapshot.from_observation is not None:
            return self._make_state(np.stack([self._snapshot.from_observation(row) for row in rows]), observation)
        showing: dict[bytes, list[np.ndarray]] = {}
        for shown, vector in self._watched.values():
            showing.setdefault(shown, []).append(vector)
        return self._make_state(np.stack([self._only(showing.get(row.tobytes(), [])) for row in rows]), observation)

    def _only(self, vectors: list[np.ndarray]) -> np.ndarray:
        if not vectors:
            raise InputError(
                f"an observation of {self.spec.env_id} does not show its state; capture it from the env, or act in one "
                f"that `SimulatorModel.watch` has wrapped"
            )
        if any(not np.array_equal(vector, vectors[0]) for vector in vectors):
            raise InputError(
                f"two watched environments of {self.spec.env_id} show the same observation in different states; act in "
                f"one at a time"
            )
        return vectors[0]

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Steps each row for real; there is no chance in it, so ``generator`` is not used."""
        del generator
        vectors, observations = state["vector"].numpy().copy(), state["observation"].numpy().copy()
        ended, rewards = state["ended"].numpy().copy(), np.zeros(len(vectors), np.float32)
        actions = action.detach().numpy()
        scratch = self.scratch
        for row in np.flatnonzero(~ended):
            scratch.restore(vectors[row])
            observations[row], rewards[row], ended[row], _, _ = scratch.step(actions[row])
            vectors[row] = scratch.capture()
        after = self._make_state(vectors, torch.from_numpy(observations), ended)
        continuation = torch.from_numpy(~ended).float()
        nothing = torch.zeros(len(vectors))  # it knows for sure
        return Imagined(after, after["observation"], torch.from_numpy(rewards), continuation, nothing, nothing)

    def imagine(
        self,
        state: ModelState,
        actions: Tensor,
        generator: torch.Generator | None,  # noqa: ARG002, there is no chance in it
        with_uncertainty: bool,
    ) -> Imagination:
        """Steps each row through its whole sequence (see `envs.world_model.SequenceModel`), restored only once."""
        vectors, observations = state["vector"].numpy().copy(), state["observation"].numpy().copy()
        ended, given = state["ended"].numpy().copy(), actions.detach().numpy()
        num_rows, horizon = given.shape[:2]
        rewards, goes_on = np.zeros((horizon, num_rows), np.float32), np.ones((horizon, num_rows), np.float32)
        scratch = self.scratch
        for row in np.flatnonzero(~ended):
            scratch.restore(vectors[row])
            for t, action in enumerate(given[row]):
                observation, rewards[t, row], ended[row], _, _ = scratch.step(action)
                if ended[row]:
                    goes_on[t:, row] = 0
                    break
            observations[row], vectors[row] = observation, scratch.capture()
        goes_on[:, state["ended"].numpy()] = 0
        after = self._make_state(vectors, torch.from_numpy(observations), ended)
        sure = torch.zeros(horizon, num_rows) if with_uncertainty else None
        return Imagination(after, torch.from_numpy(rewards), torch.from_numpy(goes_on), sure)

    def _make_state(self, vectors: np.ndarray, observation: Tensor, ended: np.ndarray | None = None) -> ModelState:
        flags = np.zeros(len(vectors), bool) if ended is None else ended
        return {"vector": torch.from_numpy(vectors), "observation": observation, "ended": torch.from_numpy(flags)}


class WatchedEnv(gymnasium.Wrapper):
    """Tells ``note`` what it shows after every reset and step, and None when it is closed."""

    def __init__(self, env: gymnasium.Env, note: Callable[["WatchedEnv", np.ndarray | None], None]):
        super().__init__(env)
        self._note = note

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._note(self, observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        outcome = self.env.step(action)
        self._note(self, outcome[0])
        return outcome

    def close(self) -> None:
        self._note(self, None)
        super().close()


def _without_limits(env: gymnasium.Env) -> gymnasium.Env:
    """Takes off the outer wrappers that do not belong to the dynamics."""
    while isinstance(env, TimeLimit | OrderEnforcing | PassiveEnvChecker):
        env = env.env
    return env
