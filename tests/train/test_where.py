"""What an error says about the place, against what the ranks draw."""

import errno
import json
import os

import numpy as np
from small_inputs import NO_IMAGES

from degla.errors import LostRankError, StorageError
from degla.train.batches.data import Samples, join
from degla.train.batches.order import Plan
from degla.train.config import TrainConfig
from degla.train.job import Job
from degla.train.launch import _failure
from degla.train.where import where


def test_the_place_names_the_captions_that_the_ranks_draw_and_the_last_checkpoint(inputs, tmp_path):
    config = TrainConfig(batch_size=12, seed=3)
    job = Job(config=config, out_dir=tmp_path, work_dir=tmp_path / "work", threads=1, **NO_IMAGES, lineage={})
    job.work_dir.mkdir()
    join(inputs["prepare"].file("images.arrow"), inputs["filter"].file("training.parquet"), config.types, job.work_dir)
    samples = Samples(job.work_dir)
    step = 7  # of the second epoch
    drawn = np.concatenate([samples.caption_ids[Plan(samples.image_rows, 12, 3, rank, 3).samples(step)] for rank in range(3)])

    text = where(job, step)
    assert text.startswith(f"step 8, captions {', '.join(map(str, drawn[:8]))} and 4 more in {tmp_path}")
    assert text.endswith("the last checkpoint is none: the run starts anew")
    for number in (2, 999_999, 1_000_000):  # as text, the last one is not the largest
        (job.checkpoint_dir / f"step-{number:06d}").mkdir(parents=True)
    assert where(job, step).endswith("step-1000000")
    failed = json.loads((job.work_dir / "failed_batch.json").read_text())
    assert failed == {"step": 8, "caption_ids": drawn.tolist(), "checkpoint": str(job.checkpoint_dir / "step-1000000")}


def test_on_a_full_disk_the_disk_is_the_reason_and_not_the_rank_that_lost_the_other(tmp_path, monkeypatch, capsys):
    job = Job(config=TrainConfig(), out_dir=tmp_path, work_dir=tmp_path, threads=1, **NO_IMAGES, lineage={})
    job.report_failure(1, LostRankError("lost contact to another rank"))
    (tmp_path / "step").touch()  # of a mark that found no room

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("degla.train.job.write_text_atomic", full)
    job.report_failure(0, StorageError("cannot write below the folder"))
    assert "rank 0: cannot write below the folder" in capsys.readouterr().out
    assert isinstance(_failure(job, 75), LostRankError)  # the disk has room
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert isinstance(_failure(job, 75), StorageError)
    assert "No space left" in str(_failure(job, 75))


def test_the_marked_step_is_found_and_forgotten(tmp_path):
    job = Job(config=TrainConfig(), out_dir=tmp_path, work_dir=tmp_path, threads=1, **NO_IMAGES, lineage={})
    assert job.marked_step() is None
    mark = job.step_marker()
    mark(9)
    mark(123456)
    assert job.marked_step() == 123456
    mark(7)
    assert job.marked_step() == 7
    job.clear_failures()
    assert job.marked_step() is None
