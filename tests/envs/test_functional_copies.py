"""Real environments as pure functions, by id."""

import pytest

from envs.errors import InputError
from envs.functional_copies import functional_copy
from envs.gymnax_adapter import make_classic_control


@pytest.mark.parametrize("env_id", ["CartPole-v1", "brax/fast"])
def test_an_id_gives_always_the_same_object(env_id):
    assert functional_copy(env_id).spec.env_id == env_id
    assert functional_copy(env_id) is functional_copy(env_id)


def test_classic_control_is_the_adapters():
    assert functional_copy("Pendulum-v1") is make_classic_control("Pendulum-v1")


@pytest.mark.parametrize(
    ("env_id", "told"),
    [("CartPole-v0", "did you mean 'CartPole-v1'"), ("brax/hopped", "unknown brax environment 'hopped'")],
)
def test_others_are_told(env_id, told):
    with pytest.raises(InputError, match=told):
        functional_copy(env_id)
