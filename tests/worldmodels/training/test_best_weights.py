import torch
from torch import nn

from worldmodels.training.best_weights import BestWeights


def test_each_member_keeps_its_own_best() -> None:
    module = nn.ParameterDict({"weight": torch.tensor([[0.0], [0.0]])})
    best = BestWeights(module, num_members=2, min_improvement=0.1)
    for value, errors, clear in ((1.0, [1.0, 1.0], True), (2.0, [0.5, 2.0], True), (3.0, [0.49, 3.0], False)):
        module["weight"].data.fill_(value)
        assert best.offer(torch.tensor(errors)) is clear
    best.restore()
    assert module["weight"].tolist() == [[3.0], [1.0]]
    assert best.errors.tolist() == [0.49000000953674316, 1.0]


def test_an_error_that_is_not_a_number_is_never_the_best() -> None:
    module = nn.ParameterDict({"weight": torch.tensor([1.0])})
    best = BestWeights(module, num_members=1, min_improvement=0.0)
    module["weight"].data.fill_(2.0)
    assert not best.offer(torch.tensor([torch.nan]))
    best.restore()
    assert module["weight"].tolist() == [1.0]
