import pytest

from envs.errors import InputError, require, unknown_name


def test_a_bad_input_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_require_names_what_was_expected_and_what_came():
    require(True, "num_envs", "of at least 1", 1)
    with pytest.raises(InputError) as raised:
        require(False, "name", "to be short", "long'er")
    assert str(raised.value) == """expected name to be short, got "long'er\""""


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("cartpol", ["pendulum", "cartpole"], "unknown preset 'cartpol'; did you mean 'cartpole'?"),
        ("ab1", ["ab3", "ab2", "zz"], "unknown preset 'ab1'; did you mean 'ab3' or 'ab2'?"),
        ("q", ["pendulum", "cartpole"], "unknown preset 'q'; known: cartpole, pendulum"),
        ("q", [], "unknown preset 'q'; known: none"),
        ("q", "abcdefghijklmn", "unknown preset 'q'; known: a, b, c, d, e, f, g, h, i, j, k, l and 2 more"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_or_with_all(name, known, message):
    error = unknown_name("preset", name, iter(known))
    assert isinstance(error, InputError)
    assert str(error) == message
