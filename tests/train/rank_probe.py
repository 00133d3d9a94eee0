"""One rank of a comparison: `python rank_probe.py JOB.json OUT.json` trains three steps and writes, from rank 0, the
global batch's losses, the first step's gradients, student and teacher at the end and how many of the teacher's numbers this
rank holds, for each configuration of the job."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from deepspeed.utils import safe_get_full_grad
from plain_steps import ALPHA, SCALE, TEACHER
from safetensors.torch import save_file

from degla.models.loading import load
from degla.processes import die_with_parent
from degla.train.config import TrainConfig
from degla.train.engine import Engine, be_quiet, join_ranks, rank_device
from degla.train.features import alone
from degla.train.gather import gather_features
from degla.train.job import Job
from degla.train.model import ImageNormaliser, TrainingClip
from degla.train.objective import Losses, Objective
from degla.train.parts import held
from degla.train.teacher import Teacher
from degla.train.trained import choose_trained
from degla.train.worker import Encoder, batch_maker, mean_over_ranks


def probe(job: Job, name: str, rank: int, num_ranks: int) -> None:
    config = job.config
    clip = load(config.model, seed=config.seed)
    clip.model.set_grad_checkpointing(config.activation_checkpointing)
    objective = Objective(config, gather_features if num_ranks > 1 else alone)
    make = batch_maker(job, clip, objective.needs_local, rank, num_ranks)
    model = TrainingClip(clip.model, objective.needs_local)
    choose_trained(model.clip, config)
    with torch.no_grad():
        model.clip.logit_scale.fill_(SCALE)
    teacher = Teacher(model, ALPHA, config.precision == "bf16") if objective.needs_teacher else None
    with torch.no_grad():
        if teacher is not None:
            for parameter in teacher.model.parameters():
                parameter.mul_(TEACHER)
    engine = Engine(model, config, num_ranks)
    if teacher is not None:
        teacher.join(engine)
    encoder = Encoder(engine, teacher, ImageNormaliser((0.5,) * 3, (0.25,) * 3, engine.device), config)

    def losses_of(step: int) -> Losses:
        student, target, scale = encoder(make(step))
        return objective(student, target, scale)

    gradients = gradients_of(engine, model, losses_of(0).total)
    lines = []
    for step in range(3):
        losses = losses_of(step)
        lines.append(mean_over_ranks(losses))
        engine.update(losses.total, config.lr)
        if teacher is not None:
            teacher.follow(engine.held())
    weights, state = engine.weights(), engine.state(keep=True)
    assert sum(value.nbytes for value in state.values()) == engine.state_bytes()
    average = {} if teacher is None else teacher.state(keep=True)
    if rank == 0 and teacher is not None:
        held_here = sum(part.numel() for part in held(teacher.model.parameters()))
        save_file(average, job.out_dir / f"{name}-{num_ranks}-teacher.safetensors")
        (job.out_dir / f"{name}-{num_ranks}-teacher.json").write_text(json.dumps(held_here))
    if rank == 0:
        (job.out_dir / f"{name}-{num_ranks}.json").write_text(json.dumps(lines))
        save_file(gradients, job.out_dir / f"{name}-{num_ranks}-gradients.safetensors")
        save_file(weights, job.out_dir / f"{name}-{num_ranks}-weights.safetensors")


def gradients_of(engine: Engine, model: TrainingClip, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The averaged gradients of a loss; they are dropped again."""
    engine.backward(loss)
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    found = {name: safe_get_full_grad(parameter).clone() for name, parameter in trained}
    engine._engine.optimizer.zero_grad()
    return found


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    be_quiet()
    base = Job.read(Path(sys.argv[1]))
    rank, num_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    join_ranks(rank_device(), 60)
    for name, settings in json.loads(Path(sys.argv[2]).read_text()).items():
        probe(base.model_copy(update={"config": TrainConfig.model_validate(settings)}), name, rank, num_ranks)
    os._exit(0)
