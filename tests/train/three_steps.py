"""One rank of three training steps: `python three_steps.py JOB.json SETTINGS.json` trains each configuration of the settings from
the state that `plain_steps` starts from. Rank 0 writes the global batch's losses, the first step's gradients, student and
teacher at the end, and how many of the teacher's numbers it holds."""

import json
import os
import signal
import sys
from pathlib import Path

from deepspeed.utils import safe_get_full_grad
from plain_steps import SCALE, TEACHER
from safetensors.torch import save_file

from degla.processes import die_with_parent
from degla.train.config import TrainConfig
from degla.train.job import Job
from degla.train.student import be_quiet, held
from degla.train.training import Run, build
from degla.train.worker import mean_over_ranks


def start(run: Run) -> None:
    """Give the run the starting state of the comparison."""
    state = run.state()
    if "weight:clip.logit_scale" in state["student"]:  # adapters train without it
        state["student"]["weight:clip.logit_scale"].fill_(SCALE)
    teacher = {name: value * TEACHER for name, value in state["teacher"].items()}
    if teacher:
        teacher["clip.logit_scale"].fill_(SCALE * TEACHER)
    state["teacher"] = teacher
    run.restore(state, 0)


def three_steps(job: Job, name: str, rank: int, num_ranks: int) -> None:
    run = build(job, rank, num_ranks)
    start(run)
    lines, gradients = [], {}
    for step in range(3):
        forward, losses = run.forward(run.make(step))
        forward.backward(losses.total)
        gradients = gradients or gradients_of(run)
        run.update(losses)
        lines.append(mean_over_ranks(losses))
    weights, state = run.student.weights(), run.state()
    assert sum(value.nbytes for part in (state["student"], state["teacher"]) for value in part.values()) == run.state_bytes()
    if rank:
        return
    if run.teacher is not None:
        held_here = sum(part.numel() for part in held(run.teacher.model.parameters()))
        save_file(state["teacher"], job.out_dir / f"{name}-{num_ranks}-teacher.safetensors")
        (job.out_dir / f"{name}-{num_ranks}-teacher.json").write_text(json.dumps(held_here))
    (job.out_dir / f"{name}-{num_ranks}.json").write_text(json.dumps(lines))
    save_file(gradients, job.out_dir / f"{name}-{num_ranks}-gradients.safetensors")
    save_file(weights, job.out_dir / f"{name}-{num_ranks}-weights.safetensors")


def gradients_of(run: Run) -> dict:
    """A copy of the averaged gradients."""
    trained = run.student._trained()
    return {name: safe_get_full_grad(parameter).clone() for name, parameter in trained}


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    be_quiet()
    base = Job.read(Path(sys.argv[1]))
    rank, num_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    for name, settings in json.loads(Path(sys.argv[2]).read_text()).items():
        three_steps(base.model_copy(update={"config": TrainConfig.model_validate(settings)}), name, rank, num_ranks)
    os._exit(0)
