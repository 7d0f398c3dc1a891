import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from safetensors.numpy import load, save

from envs.artifact import Artifact, load_artifact, save_artifact
from envs.errors import InputError
from envs.spec import EnvSpec, spec_of
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import MDPConfig, RewardNetworkConfig
from synthetic_envs.saving import load_synthetic, save_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv
from tests.envs.artifact_editing import edit_artifact
from tests.synthetic_envs.conftest import KINDS


def edit_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    """Changes the tensors and forges the checksum, so that the file is whole."""
    file = path / "tensors.safetensors"
    tensors = load(file.read_bytes())
    change(tensors)
    file.write_bytes(save(tensors))
    edit_artifact(path, tensors_sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def test_it_comes_back_bit_for_bit(bandit: Bandit, saved: Path) -> None:
    env, params = load_synthetic(saved)
    assert env.config == bandit.config
    assert env.spec == bandit.spec
    jax.tree.map(np.testing.assert_array_equal, params, bandit.init_params(jax.random.key(7)))
    assert {type(leaf) for leaf in jax.tree.leaves(params)} == {type(jnp.zeros(1))}
    assert load_artifact(saved).provenance["seed"] == 7


def test_what_exists_is_kept_unless_it_may_be_overwritten(bandit: Bandit, saved: Path) -> None:
    with pytest.raises(InputError, match="already exists"):
        save_synthetic(saved, bandit, bandit.default_params, {})
    save_synthetic(saved, bandit, bandit.default_params, {}, overwrite=True)
    jax.tree.map(np.testing.assert_array_equal, load_synthetic(saved)[1], bandit.default_params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "bandits"}, "unknown family of synthetic environment 'bandits'; did you mean 'bandit'"),
        ({"kind": "policy"}, "expected a synthetic_env at .*, found a policy"),
        ({"config": {"state_hidden": [8], "reward_hidden": [8, 5]}}, "do not fit its configuration"),
        ({"config": {"state_hidden": [8], "reward_hidden": [8]}}, "do not fit its configuration"),
        ({"config": {"state_hidden": [0], "reward_hidden": [8, 4]}}, "state_hidden of whole widths"),
        ({"config": {"state_hidden": [8.0], "reward_hidden": [8, 4]}}, "state_hidden of whole widths"),
        (
            {"config": {"state_hidden": 8, "reward_hidden": [8]}},
            "expected a BanditConfig as the configuration of the bandit in",
        ),
        ({"config": {"state_hidden": ["8"], "reward_hidden": [8]}}, "state_hidden of whole widths"),
        ({"config": {"depth": [8]}}, "it lacks reward_hidden, state_hidden and has an unknown depth"),
    ],
    ids=str,
)
def test_edited_json_is_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    edit_artifact(saved, **changes)
    with pytest.raises(InputError, match=message):
        load_synthetic(saved)


def test_spaces_that_the_tensors_do_not_fit_are_refused(saved: Path) -> None:
    other = EnvSpec("Toy-v0", spaces.Box(-1, 1, (5,), np.float32), spaces.Discrete(3))
    edit_artifact(saved, spec=other.to_json())
    with pytest.raises(InputError, match="do not fit its configuration"):
        load_synthetic(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("state/0/b"),
        lambda tensors: tensors.update({"state/0/b": np.zeros(9, np.float32)}),
        lambda tensors: tensors.update({"more": np.zeros(9, np.float32)}),
        lambda tensors: tensors.update({"state/0/b/more": np.zeros(9, np.float32)}),
        lambda tensors: tensors.clear(),
    ],
    ids=["one less", "another shape", "one more", "below another", "none"],
)
def test_edited_tensors_are_refused(saved: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    edit_tensors(saved, change)
    with pytest.raises(InputError, match=r"do not fit its configuration|names of tensors"):
        load_synthetic(saved)


def test_changed_numbers_are_found_by_the_checksum(saved: Path) -> None:
    blob = bytearray((saved / "tensors.safetensors").read_bytes())
    blob[-1] ^= 1
    (saved / "tensors.safetensors").write_bytes(blob)
    with pytest.raises(InputError, match="truncated or changed"):
        load_synthetic(saved)


def test_other_artifacts_are_refused(bandit: Bandit, tmp_path: Path) -> None:
    save_artifact(tmp_path / "policy", Artifact("policy", "ppo", bandit.spec, {}, {}))
    with pytest.raises(InputError, match=r"expected a synthetic_env at .*policy, found a policy"):
        load_synthetic(tmp_path / "policy")
    with pytest.raises(InputError, match="expected an artifact folder"):
        load_synthetic(tmp_path)


def test_every_kind_comes_back_bit_for_bit(kind: SyntheticEnv, saved_kind: Path) -> None:
    env, params = load_synthetic(saved_kind)
    assert (type(env), env.config, env.spec) == (type(kind), kind.config, kind.spec)
    jax.tree.map(np.testing.assert_array_equal, params, kind.init_params(jax.random.key(7)))


def test_every_kind_is_refused_with_other_tensors(saved_kind: Path) -> None:
    name = next(iter(load_artifact(saved_kind).tensors))
    edit_tensors(saved_kind, lambda tensors: tensors.update({name: np.zeros((3, 3), np.float32)}))
    with pytest.raises(InputError, match="do not fit its configuration"):
        load_synthetic(saved_kind)
    edit_tensors(saved_kind, lambda tensors: tensors.update({name: np.full((3, 3), np.nan, np.float32)}))
    with pytest.raises(InputError, match=f"finite numbers in every tensor of the .*, got NaN or infinity in {name}"):
        load_synthetic(saved_kind)


def test_tensors_of_another_type_are_refused(saved_kind: Path) -> None:
    edit_tensors(saved_kind, lambda tensors: tensors.update({n: t.astype(np.float16) for n, t in tensors.items()}))
    with pytest.raises(InputError, match="do not fit its configuration"):
        load_synthetic(saved_kind)


def test_a_limit_that_is_not_the_configurations_is_refused(kind: SyntheticEnv, saved_kind: Path) -> None:
    edit_artifact(saved_kind, spec=replace(kind.spec, max_episode_steps=7).to_json())
    with pytest.raises(InputError, match=r"the spec at .* is not that of the .* the artifact was edited"):
        load_synthetic(saved_kind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": [9]}, "do not fit its configuration"),
        ({"activation": "gelu"}, "the (MDP|reward network)'s activation to be one of"),
        ({"activation": 3}, "the (MDP|reward network)'s activation to be one of"),
        ({"hidden": "8"}, "hidden of whole widths"),
        ({"hidden": None}, "as the configuration of the (mdp|reward-network) in"),
        ({"depth": 2}, "it has an unknown depth"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"target bandit"}), indirect=True)
def test_every_kind_is_refused_with_an_edited_configuration(
    saved_kind: Path, changes: dict[str, Any], message: str
) -> None:
    _refused(saved_kind, changes, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward_hidden": [9]}, "do not fit its configuration"),
        ({"state_hidden": "8"}, "state_hidden of whole widths"),
        ({"reward_hidden": None}, "as the configuration of the target_bandit in"),
        ({"depth": 2}, "it has an unknown depth"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["target bandit"], indirect=True)
def test_a_target_bandit_is_refused_with_an_edited_configuration(
    saved_kind: Path, changes: dict[str, Any], message: str
) -> None:
    _refused(saved_kind, changes, message)


def _refused(path: Path, changes: dict[str, Any], message: str) -> None:
    edit_artifact(path, config={**load_artifact(path).config, **changes})
    with pytest.raises(InputError, match=message):
        load_synthetic(path)


def test_a_kind_that_starts_in_the_real_environment_needs_it(tmp_path: Path) -> None:
    spec = replace(spec_of("MountainCar-v0"), env_id="MountainCar-v9")
    for family, config in (("mdp", MDPConfig()), ("reward-network", RewardNetworkConfig())):
        save_artifact(tmp_path / family, Artifact("synthetic_env", family, spec, asdict(config), {}))
        with pytest.raises(InputError, match="unknown environment with compiled dynamics 'MountainCar-v9'; did you"):
            load_synthetic(tmp_path / family)
