import torch

from worldmodels.normaliser import fit_normaliser, identity_normaliser, join_normalisers


def test_hand_computed() -> None:
    normaliser = fit_normaliser(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    assert normaliser.mean.tolist() == [2.0, 20.0]
    assert normaliser.std.tolist() == [1.0, 10.0]
    assert normaliser.normalise(torch.tensor([[4.0, 0.0]])).tolist() == [[2.0, -2.0]]


def test_a_constant_feature_becomes_zero_whatever_comes() -> None:
    normaliser = fit_normaliser(torch.tensor([[5.0, 0.0, 0.1], [5.0, 0.0, 0.1], [5.0, 0.0, 0.1]]))
    assert normaliser.std.tolist() == [0.0, 0.0, 0.0]
    assert normaliser.normalise(torch.tensor([[9.0, -1.0, 3.0]])).tolist() == [[0.0, 0.0, 0.0]]


def test_a_small_spread_around_zero_is_not_constant() -> None:
    normaliser = fit_normaliser(torch.tensor([[1e-7], [-1e-7]]))
    assert normaliser.normalise(torch.tensor([[1e-7]])).item() == 1.0


def test_a_large_offset_keeps_its_digits() -> None:
    normaliser = fit_normaliser(1000 + torch.tensor([[0.0], [0.25], [0.5], [0.75]]))
    torch.testing.assert_close(normaliser.std, torch.tensor([0.2795085]))


def test_joined() -> None:
    joined = join_normalisers(fit_normaliser(torch.tensor([[1.0], [3.0]])), identity_normaliser(2))
    assert joined.normalise(torch.tensor([[4.0, 4.0, 5.0]])).tolist() == [[2.0, 4.0, 5.0]]
