"""The states of Gymnasium's MuJoCo environments, bit for bit.

MuJoCo's own "integration" state is all that its next step depends on (positions, velocities, warm start, time, ...).
Some rewards also look at where bodies were before the step (``xpos``, ``xipos``), which lag behind the positions by one
inner step and follow from nothing else, so these are kept too.
"""

import sys
from typing import Any

import gymnasium
import numpy as np

_MODULE = "gymnasium.envs.mujoco.mujoco_env"


def is_mujoco(env: gymnasium.Env) -> bool:
    """Whether ``env`` is one of Gymnasium's MuJoCo environments; imports nothing."""
    module = sys.modules.get(_MODULE)  # there is no such environment where its module was never loaded
    return module is not None and isinstance(env.unwrapped, module.MujocoEnv)


def capture_mujoco(env: Any) -> np.ndarray:
    """Returns the state ``[D]`` float64."""
    import mujoco

    model, data = env.model, env.data
    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    bodies = data.xpos.size
    vector = np.empty(size + 2 * bodies)
    mujoco.mj_getState(model, data, vector[:size], mujoco.mjtState.mjSTATE_INTEGRATION)
    vector[size : size + bodies] = data.xpos.ravel()
    vector[size + bodies :] = data.xipos.ravel()
    return vector


def restore_mujoco(env: Any, vector: np.ndarray) -> None:
    """Puts the state ``[D]`` into another environment of the same model."""
    import mujoco

    data = env.data
    bodies = data.xpos.size
    size = len(vector) - 2 * bodies
    mujoco.mj_setState(env.model, data, vector[:size], mujoco.mjtState.mjSTATE_INTEGRATION)
    data.xpos[:] = vector[size : size + bodies].reshape(data.xpos.shape)
    data.xipos[:] = vector[size + bodies :].reshape(data.xipos.shape)
