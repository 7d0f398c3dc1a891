import torch

from worldmodels.configs import FitConfig
from worldmodels.training.batches import JoinedBatches, MemberBatches, ValidationBatches, WholeBatches
from worldmodels.training.rows import StepBatch


def make_batches(num_rows: int = 10, first: int = 0, **settings: object) -> MemberBatches[StepBatch]:
    row = torch.arange(float(num_rows))
    config = FitConfig(batch_size=4, num_updates=4, validate_every=4, **settings)
    batches = MemberBatches(StepBatch(row[:, None], row[:, None], row[:, None], row), 3, config)
    batches.next_step = first
    return batches


def test_each_member_sees_each_row_once_a_pass_in_its_own_order() -> None:
    first, second, third, fourth = (batch.terminated for batch in make_batches(num_rows=8))
    one_pass, next_pass = torch.cat((first, second), 1), torch.cat((third, fourth), 1)
    for member in range(3):
        assert sorted(one_pass[member].tolist()) == list(range(8))
    assert not torch.equal(one_pass[0], one_pass[1])
    assert not torch.equal(one_pass, next_pass)


def test_a_batch_depends_on_the_seed_and_its_number_alone() -> None:
    run = [batch.terminated for batch in make_batches()]
    taken_up = [batch.terminated for batch in make_batches(first=2)]
    assert all(torch.equal(a, b) for a, b in zip(run[2:], taken_up, strict=False))
    assert not torch.equal(run[0], next(iter(make_batches(seed=1))).terminated)


def test_a_bootstrap_is_one_resampling_for_all_passes() -> None:
    passes = torch.cat([batch.terminated for batch in make_batches(num_rows=8, bootstrap=True)], 1)
    for member in passes:
        assert sorted(member[:8].tolist()) == sorted(member[8:].tolist())
        assert len(set(member.tolist())) < 8


def test_validation_batches_hold_every_row_once_in_order() -> None:
    rows = StepBatch(*(torch.arange(20_000.0) for _ in StepBatch._fields))
    batches = ValidationBatches(rows)
    assert len(batches) == 3
    assert torch.equal(torch.cat([batch.terminated[0] for batch in batches]), rows.terminated)


def test_joined_batches_read_one_of_each_set_and_are_taken_up_together() -> None:
    def joined() -> JoinedBatches[StepBatch]:
        return JoinedBatches({"few": make_batches(num_rows=10), "many": make_batches(num_rows=50)})

    run = list(joined())
    assert len(run) == len(joined()) == 4
    alone = [batch.terminated for batch in make_batches(num_rows=50)]
    assert all(torch.equal(batch["many"].terminated, one) for batch, one in zip(run, alone, strict=True))
    taken_up = joined()
    taken_up.next_step = 2
    for step in (2, 3):
        assert taken_up.next_step == step
        batch = next(iter(taken_up))
        assert all(torch.equal(batch[name].terminated, run[step][name].terminated) for name in ("few", "many"))


def test_whole_batches_hold_all_rows_of_every_set() -> None:
    rows = {size: StepBatch(*(torch.arange(float(size)) for _ in StepBatch._fields)) for size in (3, 20_000)}
    (batch,) = WholeBatches(rows)
    assert all(torch.equal(batch[size].terminated[0], rows[size].terminated) for size in rows)
