"""The place where a run failed, for its error: the step, the captions of its batch, and the last checkpoint.

Needs no rank to be alive, and no torch.
"""

from __future__ import annotations

import json

from degla.files import write_text_atomic
from degla.train.batches.data import Samples, make_plan
from degla.train.job import Job

_SHOWN = 8


def where(job: Job, step: int) -> str:
    """The place in words. All caption ids of the batch are written to `failed_batch.json` in the run's work folder.

    Args:
        job: the run.
        step: counts from 0; the message counts from 1.
    """
    samples = Samples(job.work_dir)
    ids = [int(number) for number in samples.caption_ids[make_plan(job.config, samples).samples(step)]]
    checkpoint = job.latest_checkpoint()
    record = {"step": step + 1, "caption_ids": ids, "checkpoint": checkpoint and str(checkpoint)}
    path = job.work_dir / "failed_batch.json"
    write_text_atomic(path, json.dumps(record))
    shown = ", ".join(map(str, ids[:_SHOWN])) + (f" and {len(ids) - _SHOWN} more in {path}" if len(ids) > _SHOWN else "")
    return f"step {step + 1}, captions {shown}; the last checkpoint is {checkpoint or 'none: the run starts anew'}"
