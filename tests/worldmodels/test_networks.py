import torch
import torch.nn.functional as F

from worldmodels.networks import EnsembleMLP, FoldedMLP
from worldmodels.normaliser import Normaliser

MEMBERS, ROWS, SIZES = 3, 5, (4, 8, 6, 2)


def make_mlp() -> EnsembleMLP:
    mlp = EnsembleMLP(MEMBERS, SIZES, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for bias in mlp.biases:
            bias.normal_(generator=torch.Generator().manual_seed(1))
    return mlp


def test_every_member_is_a_plain_perceptron() -> None:
    mlp, inputs = make_mlp(), torch.randn(MEMBERS, ROWS, 4, generator=torch.Generator().manual_seed(2))
    outputs = mlp(inputs)
    for member in range(MEMBERS):
        hidden = inputs[member]
        for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
            hidden = hidden @ weight[member] + bias[member]
            hidden = F.silu(hidden) if layer < 2 else hidden
        torch.testing.assert_close(outputs[member], hidden)


def test_weights_are_truncated_at_two_deviations() -> None:
    weight = EnsembleMLP(5, (100, 200, 1), torch.Generator().manual_seed(0)).weights[0].detach()
    std = 0.5 / 10
    assert weight.abs().max() <= 2 * std
    assert abs(float(weight.std()) - 0.88 * std) < 0.01 * std  # a normal cut at two deviations keeps 88% of its own


def test_folding_changes_nothing_but_the_speed() -> None:
    mlp, generator = make_mlp(), torch.Generator().manual_seed(3)
    inputs = Normaliser(torch.randn(4, generator=generator), torch.tensor([0.5, 2.0, 0.0, 1.0]))
    target = Normaliser(torch.tensor([3.0]), torch.tensor([0.1]))
    members, raw = torch.tensor([0, 2]), torch.randn(ROWS, 4, generator=generator)
    folded = FoldedMLP(mlp, members, inputs, torch.device("cpu"))
    with torch.no_grad():
        plain = mlp(inputs.normalise(raw).expand(MEMBERS, ROWS, 4))[members]
    hidden = folded.hidden(raw)
    torch.testing.assert_close(folded.head(slice(1, 2))(hidden), plain[..., 1:])
    torch.testing.assert_close(folded.head(slice(0, 1), target)(hidden), 3.0 + 0.1 * plain[..., :1])
