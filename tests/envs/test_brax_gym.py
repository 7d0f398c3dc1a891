"""brax environments by their ids in Gymnasium."""

import gymnasium
import numpy as np
import pytest
import simulacra_gymnasium
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from envs.brax_adapter import BACKENDS, BRAX
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.policy import RandomPolicy
from envs.spec import make_real, spec_of


def test_the_ids_are_of_all_that_the_adapter_knows():
    assert simulacra_gymnasium._BRAX == BRAX
    assert simulacra_gymnasium._BRAX_BACKENDS == BACKENDS
    ids = {env_id for env_id in gymnasium.registry if env_id.startswith("brax/")}
    assert ids == {f"brax/{name}" for name in BRAX} | {
        f"brax/{name}-{backend}" for name in BRAX for backend in BACKENDS if name != "fast"
    }


def test_a_single_one_passes_gymnasiums_checks():
    env = gymnasium.make("brax/fast")
    with pytest.warns(UserWarning, match="Box observation space (min|max)imum value is -?infinity"):  # as brax has it
        check_env(env.unwrapped, skip_render_check=True)
    assert spec_of("brax/fast").max_episode_steps == 1000


@pytest.mark.parametrize("mode", AutoresetMode)
def test_many_are_one_vector_environment(mode):
    envs = gymnasium.make_vec("brax/fast", 3, autoreset_mode=mode)
    observations, _ = envs.reset(seed=0)
    assert (observations.shape, envs.metadata["autoreset_mode"]) == ((3, 2), mode)
    assert envs.step(np.zeros((3, 1), np.float32))[1].shape == (3,)
    envs.close()


def test_policies_are_evaluated_on_them_as_on_any_real_environment():
    found = evaluate(RandomPolicy(spec_of("brax/fast")), "brax/fast", episodes=2)
    assert found.lengths.tolist() == [1000, 1000]
    assert not found.terminated.any()


def test_what_brax_does_not_have_is_told():
    with pytest.raises(InputError, match="unknown environment id 'brax/hoper'; did you mean 'brax/hopper'"):
        make_real("brax/hoper")
    with pytest.raises(InputError, match=r"'swimmer' does not run on the backend 'spring'"):
        make_real("brax/swimmer-spring")
