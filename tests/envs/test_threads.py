import pytest
import torch

from envs.threads import WORK_OF_A_THREAD, threads_for, torch_threads


def test_the_number_holds_within_and_comes_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with torch_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_it_comes_back_after_an_error_too():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_threads_grow_with_the_work_up_to_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.threads._num_cores", lambda: 4)
    works = (0, WORK_OF_A_THREAD, 2 * WORK_OF_A_THREAD, 3.5 * WORK_OF_A_THREAD, 100 * WORK_OF_A_THREAD)
    assert [threads_for(work) for work in works] == [1, 1, 2, 3, 4]
