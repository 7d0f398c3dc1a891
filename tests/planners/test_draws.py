import pytest
import torch

from planners.draws import RowStreams, integers, normal, shared_generator, uniform

CPU = torch.device("cpu")


def test_a_row_draws_the_same_in_any_company() -> None:
    keys = [[3, 0], [5, 0], [7, 1]]
    for draw in (
        lambda rows, source: normal((rows, 4), torch.float32, CPU, source),
        lambda rows, source: uniform((rows, 4), torch.float32, CPU, source),
        lambda rows, source: integers(2, 1000, (rows, 4), CPU, source),
    ):
        together = draw(3, RowStreams(keys, CPU))
        alone = [draw(1, RowStreams([key], CPU)) for key in keys]
        assert torch.equal(together, torch.cat(alone))
        assert len({tuple(row) for row in together.tolist()}) == 3


def test_neither_rows_nor_steps_nor_the_shared_generator_are_seeded_alike() -> None:
    streams = [RowStreams([[seed, step]], CPU) for seed in range(3) for step in range(3)]
    sources = [source for one in streams for source in (one.rows[0], one.shared)]
    assert len({torch.rand((), generator=source).item() for source in sources}) == 18


def test_one_generator_serves_all_rows_too() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = normal((2, 3), torch.float32, CPU, generator)
    assert torch.equal(drawn, torch.randn(2, 3, generator=torch.Generator().manual_seed(0)))
    assert shared_generator(generator) is generator
    assert shared_generator(None) is None


def test_a_stream_a_row_is_needed() -> None:
    with pytest.raises(ValueError, match="expected one stream a row, got 1 for 2 rows"):
        normal((2, 3), torch.float32, CPU, RowStreams([[0]], CPU))
