"""Steps are watched one step late, with the step that an error belongs to; before anything is kept, the last one is read."""

import pytest
import torch
from torch import distributed

from degla.errors import InputError
from degla.train import agreement
from degla.train.agreement import Watch, any_rank

FINE, BROKEN = torch.tensor(1.0), torch.tensor(float("nan"))


@pytest.fixture
def watch(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "where", lambda job, step: f"step {step}")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield Watch(None)
    distributed.destroy_process_group()


def test_a_request_to_stop_is_seen_at_the_next_step_and_once(watch):
    assert [watch.see(step, FINE, stop=step == 1) for step in range(4)] == [False, False, True, False]
    watch.see(4, FINE, stop=True)
    assert watch.now()
    assert not watch.now()


@pytest.mark.parametrize("loss", [BROKEN, torch.tensor(float("inf")), torch.tensor(-float("inf"), dtype=torch.float64)])
def test_a_broken_loss_is_named_by_its_own_step_when_the_next_one_is_sent_or_before_anything_is_kept(watch, loss):
    watch.see(7, FINE, stop=False)
    watch.see(8, loss, stop=False)
    with pytest.raises(InputError, match="the training loss is not finite at step 8"):
        watch.see(9, BROKEN, stop=False)
    watch.see(10, loss, stop=False)
    with pytest.raises(InputError, match="step 10"):
        watch.now()


def test_any_rank_of_one_is_that_rank(watch):
    assert [any_rank(torch.tensor(flag)) for flag in (True, False)] == [True, False]
