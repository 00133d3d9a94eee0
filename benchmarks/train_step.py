"""How fast a training step is: ours against a plain one that works as the authors' does, at the same mathematics.

    python benchmarks/train_step.py [--captions COCO.json] [--rounds 5] [--quick]

A step is student forward and backward, teacher, loss, AdamW and moving average of ViT-B-32-quickgelu with random weights, 4
negatives a caption, on one thread. The plain one is open_clip's own modules on 77 padded tokens, all tokens and patches
projected, masked B x 5B losses, a loop for the average and AdamW as it comes; ours is that of `degla.train`. Each lives in a
child process; a round measures one after the other on the same batch, in CPU time of the process, and their losses have to
agree. Captions are a COCO file's, or of a small grammar; negatives are the rules'. Tokenising and images are not part of
it. `--quick` measures batch 8 once. Takes half an hour and 8 GB.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.generate_rules import measure, prepare_file, prepare_grammar
from degla.models import ModelRef
from degla.models.encoding import used_lengths
from degla.models.loading import load
from degla.models.trees import grow, planted
from degla.schemas import CAPTIONS, NEGATIVE_TYPES, REWRITES, read_table
from degla.train.config import TrainConfig
from degla.train.data import Batch
from degla.train.engine import Engine, be_quiet, join_ranks
from degla.train.model import ImageNormaliser, TrainingClip
from degla.train.objective import Objective
from degla.train.teacher import Teacher
from degla.train.worker import Encoder

Precision = Literal["fp32", "bf16"]
ARCHITECTURE = "ViT-B-32-quickgelu"
ALPHA = 0.9996
LEARNING_RATE = 1e-6
SIDE = 224


@dataclass(frozen=True)
class Rows:
    """A batch: captions, each with its negatives."""

    what: str
    texts: Sequence[Sequence[str]]

    def image(self) -> np.ndarray:
        """uint8 pixels, the same in every process."""
        return np.random.default_rng(len(self.texts)).integers(0, 255, (len(self.texts), SIDE, SIDE, 3), np.uint8)


class Plain:
    """The step as the authors' code does it, on open_clip's modules."""

    def __init__(self, precision: Precision) -> None:
        clip = load(ModelRef(architecture=ARCHITECTURE, weights="random"))
        self._clip, self._autocast = clip, precision == "bf16"
        self._student, self._teacher = clip.model.train(), deepcopy(clip.model).eval().requires_grad_(False)
        named = [(name, value) for name, value in self._student.named_parameters()]
        decayed = [value for _, value in named if value.ndim >= 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": [v for _, v in named if v.ndim < 2], "weight_decay": 0.0}]
        self._adam = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), eps=1e-6)
        self._normalise = ImageNormaliser(clip.preprocessing.mean, clip.preprocessing.std, torch.device("cpu"))

    def prepared(self, rows: Rows) -> tuple[np.ndarray, Tensor]:
        captions, negatives = [texts[0] for texts in rows.texts], [text for texts in rows.texts for text in texts[1:]]
        return rows.image(), self._clip.tokenizer(captions + negatives)

    def __call__(self, image: np.ndarray, text_TL: Tensor) -> float:
        self._adam.zero_grad()
        image_BCHW = self._normalise(torch.from_numpy(image))
        with torch.autocast("cpu", torch.bfloat16, enabled=self._autocast):
            student = _plain_features(self._student, image_BCHW, text_TL)
            with torch.no_grad():
                teacher = _plain_features(self._teacher, image_BCHW, text_TL)
            loss = _plain_loss(*student, *teacher, self._student.logit_scale.exp())
        loss.backward()
        self._adam.step()
        with torch.no_grad():
            self._student.logit_scale.clamp_(0, np.log(100))
            for old, new in zip(self._teacher.parameters(), self._student.parameters(), strict=True):
                old.data = ALPHA * old.data + (1 - ALPHA) * new.data
        return float(loss)


def _plain_features(model: open_clip.CLIP, image_BCHW: Tensor, text_TL: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings of images and texts; those of all patches and tokens are made too, and not used."""
    visual = model.visual
    patch_BPD = functional.normalize(visual.ln_post(visual.transformer(visual._embeds(image_BCHW))) @ visual.proj, dim=-1)
    token_TLW = model.token_embedding(text_TL) + model.positional_embedding
    token_TLW = model.ln_final(model.transformer(token_TLW, attn_mask=model.attn_mask))
    token_TLD = functional.normalize(token_TLW @ model.text_projection, dim=-1)
    return patch_BPD[:, 0], token_TLD[torch.arange(len(text_TL)), text_TL.argmax(-1)]


def _plain_loss(image_BD: Tensor, text_TD: Tensor, old_image_BD: Tensor, old_text_TD: Tensor, scale: Tensor) -> Tensor:
    """The paper's loss, each contrast a product of its own with a mask of its own."""
    batch = len(image_BD)
    label_B, negatives = torch.arange(batch), text_TD[batch:]
    own_BT = torch.full((batch, len(text_TD)), float("-inf"))
    own_BT[:, :batch].fill_diagonal_(0)
    own_BT[:, batch:][label_B.repeat_interleave(len(negatives) // batch), torch.arange(len(negatives))] = 0
    to_text, to_image = scale * image_BD @ text_TD.T, scale * text_TD @ image_BD.T
    base = (functional.cross_entropy(to_text, label_B) + functional.cross_entropy(to_image[:batch], label_B)) / 2
    grounded = functional.cross_entropy(scale * image_BD @ text_TD.T + own_BT, label_B)
    texts = torch.cat([old_text_TD[:batch], negatives])
    by_text = functional.cross_entropy(10 * text_TD[:batch] @ texts.T + own_BT, label_B)
    moved = (image_BD - old_image_BD).square().sum() + (text_TD - old_text_TD).square().sum()
    return base + 0.1 * grounded + 0.1 * by_text + 1.28 * moved / batch


class Ours:
    """The step of `degla.train`, in its engine."""

    def __init__(self, precision: Precision) -> None:
        be_quiet()
        join_ranks(torch.device("cpu"), 600)
        model = ModelRef(architecture=ARCHITECTURE, weights="random")
        config = TrainConfig(model=model, precision=precision, lr=LEARNING_RATE, batch_size=16)
        self._clip = load(config.model)
        student = TrainingClip(self._clip.model)
        self._teacher = Teacher(student, ALPHA, precision == "bf16")
        self._engine = Engine(student, config, num_ranks=1)
        self._teacher.join(self._engine)
        normalise = ImageNormaliser(self._clip.preprocessing.mean, self._clip.preprocessing.std, self._engine.device)
        self._encoder, self._objective = Encoder(self._engine, self._teacher, normalise, config), Objective(config)

    def prepared(self, rows: Rows) -> tuple[Batch]:
        trees = []
        for texts in rows.texts:
            token_TL = self._clip.tokenizer(texts)
            lengths = used_lengths(self._clip.model, token_TL).tolist()
            trees.append(grow([row[:length] for row, length in zip(token_TL.tolist(), lengths, strict=True)]))
        kind = np.zeros((len(rows.texts), len(rows.texts[0]) - 1), np.int8)
        return (Batch(0, rows.image(), planted(trees), np.arange(len(kind) * (1 + kind.shape[1])), kind),)

    def __call__(self, batch: Batch) -> float:
        losses = self._objective(*self._encoder(batch))
        self._engine.update(losses.total, LEARNING_RATE)
        self._teacher.follow(self._engine.held())
        return float(losses.total.detach())


_step: Plain | Ours  # of the child process


def _begin(kind: type[Plain] | type[Ours], precision: Precision) -> None:
    global _step
    torch.set_num_threads(1)
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ |= {"DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo"}
    _step = kind(precision)


@dataclass(frozen=True)
class Measured:
    """One step of one of them."""

    cpu_seconds: float
    loss: float
    peak_bytes: int


def _measure(rows: Rows) -> Measured:
    inputs = _step.prepared(rows)
    started = time.process_time()
    loss = _step(*inputs)
    seconds = time.process_time() - started
    return Measured(seconds, loss, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


@contextmanager
def child(kind: type[Plain] | type[Ours], precision: Precision) -> Iterator[Callable[[Rows], Measured]]:
    """A process that makes steps of this kind."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (kind, precision)) as pool:
        yield lambda rows: pool.submit(_measure, rows).result()


def texts_with_negatives(home: Path, captions: Path | None) -> list[list[str]]:
    """Captions, each with a rewrite of every type that the rules can make, in a random order."""
    prepared = prepare_file(home, captions) if captions else prepare_grammar(home / "grammar", 5_000)
    measure(prepared, home, workers=1)
    rewrites = defaultdict(dict)
    for path in (home / "generate").glob("*/rewrites/*.parquet"):
        for row in read_table(path, REWRITES, ["caption_id", "type", "status", "text"]).to_pylist():
            if row["status"] == "ok":
                rewrites[row["caption_id"]][row["type"]] = row["text"]
    rows = [
        [row["caption"], *(rewrites[row["caption_id"]][kind] for kind in NEGATIVE_TYPES if kind in rewrites[row["caption_id"]])]
        for row in read_table(prepared.file("captions.parquet"), CAPTIONS, ["caption_id", "caption"]).to_pylist()
    ]
    random.Random(0).shuffle(rows)
    return rows


def batches(rows: Sequence[list[str]], size: int, negatives: int, what: str) -> Iterator[Rows]:
    """Batches without end, of captions that have enough negatives."""
    fitting = itertools.cycle([row[: 1 + negatives] for row in rows if len(row) > negatives])
    while True:
        yield Rows(what, [next(fitting) for _ in range(size)])


def compare(plain: Callable, ours: Callable, batch: Iterator[Rows], rounds: int) -> tuple[float, list[tuple[Measured, Measured]]]:
    """Median of the ratios of CPU seconds, and the rounds."""
    measured = [(plain(rows), ours(rows)) for rows in itertools.islice(batch, rounds)]
    return statistics.median(one.cpu_seconds / two.cpu_seconds for one, two in measured), measured
