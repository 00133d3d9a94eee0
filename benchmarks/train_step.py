"""How fast a training step is: ours against a plain one that works as the authors' does, at the same mathematics.

    python benchmarks/train_step.py [--captions COCO.json] [--rounds 5] [--quick] [--same-allocator]

A step is student forward and backward, teacher, loss, AdamW and moving average of ViT-B-32-quickgelu with random weights, 4
negatives a caption, on one thread. The plain one is open_clip's own modules on 77 padded tokens, all tokens and patches
projected, masked B x 5B losses, a loop for the average and AdamW as it comes; ours is that of `degla.train`. Each lives in a
child process; a round measures one after the other on the same batch, in CPU time of the process, and their losses have to
agree. Captions are a COCO file's, or of a small grammar; negatives are the rules'. Tokenising and images are not part of
it. `--quick` measures batch 8 once. `--same-allocator` gives the plain one too the allocator settings that our launcher gives a
rank, which spare it a part of its time. Takes half an hour and 8 GB.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import numpy as np
import open_clip
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.generate_rules import measure, prepare_file, prepare_grammar
from degla.images import IMAGES_FILE, images_writer
from degla.models import ModelRef
from degla.models.encoding import used_lengths
from degla.models.loading import LoadedClip, load
from degla.models.trees import TextTrees, grow, planted
from degla.schemas import CAPTIONS, IMAGES, REWRITES, TRAINING, read_table, write_table
from degla.train.batches.data import Batch, join
from degla.train.config import TrainConfig
from degla.train.embeddings import Embeddings, embed
from degla.train.job import Job
from degla.train.launch import CPU_MALLOC
from degla.train.model import ImageNormaliser, TrainingClip
from degla.train.objective import View
from degla.train.student import be_quiet
from degla.train.training import build

Precision = Literal["fp32", "bf16"]
ARCHITECTURE = "ViT-B-32-quickgelu"
ALPHA = 0.9996
LEARNING_RATE = 1e-6
SIDE = 224
NUM_CAPTIONS = 5_000
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}
"""By which share of the loss the two may differ, after some steps each."""


@dataclass(frozen=True)
class Rows:
    """A batch: captions, each with its negatives."""

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
        return float(loss.detach())


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


def equality(rows: Rows, dtype: torch.dtype) -> str:
    """How far our features, loss and gradients are from the plain ones on the same weights, in words."""
    torch.set_num_threads(1)
    clip = load(ModelRef(architecture=ARCHITECTURE, weights="random"))
    plain, teacher = clip.model.to(dtype), deepcopy(clip.model).requires_grad_(False)
    ours = TrainingClip(deepcopy(plain)).eval()
    image_BCHW = ImageNormaliser(clip.preprocessing.mean, clip.preprocessing.std, torch.device("cpu"))(
        torch.from_numpy(rows.image())
    ).to(dtype)
    captions, negatives = [texts[0] for texts in rows.texts], [text for texts in rows.texts for text in texts[1:]]
    texts = clip.tokenizer(captions + negatives)
    for parameter in teacher.parameters():
        parameter.mul_(1.01)  # otherwise the distillation is 0
    target = _plain_features(teacher, image_BCHW, texts)
    expected = _plain_features(plain, image_BCHW, texts)
    loss = _plain_loss(*expected, *target, plain.logit_scale.exp())
    loss.backward()

    batch = len(rows.texts)
    encoded = ours(image_BCHW, _trees(clip, rows).map(torch.from_numpy))
    student = embed(encoded, *_places(rows))
    old = Embeddings(target[0], target[1][:batch], target[1][batch:].unflatten(0, (batch, -1)), student.type_BK)
    our_loss = TrainConfig().chosen(View(student, old, student, 0, encoded.scale.squeeze(), {})).total
    our_loss.backward()
    text_TD = torch.cat([student.caption_BD, student.negative_BKD.flatten(0, 1)])
    pairs = [(ours.clip.get_parameter(name).grad, value.grad) for name, value in plain.named_parameters()]
    off = sum((one.reshape(two.shape).double() - two.double()).square().sum() for one, two in pairs)
    relative = (off / sum(two.double().square().sum() for _, two in pairs)).sqrt()
    sides = {"image": (student.image_BD, expected[0]), "text": (text_TD, expected[1]), "loss": (our_loss, loss)}
    largest = [f"{name} {float((one - two).detach().abs().max()):.1e}" for name, (one, two) in sides.items()]
    return f"{', '.join(largest)} of {float(loss.detach()):.2f}, gradient (relative L2) {float(relative):.1e}"


def _trees(clip: LoadedClip, rows: Rows) -> TextTrees:
    trees = []
    for texts in rows.texts:
        token_TL = clip.tokenizer(texts)
        lengths = used_lengths(clip.model, token_TL).tolist()
        trees.append(grow([row[:length] for row, length in zip(token_TL.tolist(), lengths, strict=True)]))
    return planted(trees)


def _places(rows: Rows) -> tuple[Tensor, Tensor]:
    """The place of each text, and a type for each negative."""
    kind_BK = torch.zeros(len(rows.texts), len(rows.texts[0]) - 1, dtype=torch.int8)
    return torch.arange(len(kind_BK) * (1 + kind_BK.shape[1])), kind_BK


class Ours:
    """The step of `degla.train`: a run as a rank builds it, on batches of this benchmark."""

    def __init__(self, precision: Precision) -> None:
        be_quiet()
        model = ModelRef(architecture=ARCHITECTURE, weights="random")
        config = TrainConfig(
            model=model,
            seed=0,  # the plain one's weights
            precision=precision,
            lr=LEARNING_RATE,
            warmup_steps=0,
            steps=1_000_000,  # the first ones have the peak rate
            batch_size=16,
            ema_half_life_samples=round(16 * math.log(2) / -math.log(ALPHA)),
        )
        with tempfile.TemporaryDirectory() as folder:
            self._run = build(_job(config, Path(folder)), 0, 1)

    def prepared(self, rows: Rows) -> tuple[Batch]:
        slot_T, kind_BK = _places(rows)
        return (Batch(0, rows.image(), _trees(self._run.clip, rows), slot_T.numpy(), kind_BK.numpy()),)

    def __call__(self, batch: Batch) -> float:
        return float(self._run.step(batch).total.detach())


def _job(config: TrainConfig, folder: Path) -> Job:
    """A job on a batch of captions with an image that nobody looks at."""
    image = {"image_id": "0", "source": "", "status": "ok", "error": None, "width": SIDE, "height": SIDE, "image": b""}
    rows = [{"caption_id": i, "image_id": "0", "caption": "a", "negatives": []} for i in range(config.batch_size)]
    images, training = folder / IMAGES_FILE, folder / "training.parquet"
    with images_writer(images) as write:
        write(pa.Table.from_pylist([image], schema=IMAGES))
    write_table(training, pa.Table.from_pylist(rows, schema=TRAINING), TRAINING)
    join(images, training, config.types, folder)
    return Job(config=config, out_dir=folder, work_dir=folder, images_path=images, short_side=0, threads=1, lineage={})


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
def child(kind: type[Plain] | type[Ours], precision: Precision, launched: bool) -> Iterator[Callable[[Rows], Measured]]:
    """A process that makes steps of this kind; where it is launched, in the environment that our launcher gives a rank."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (kind, precision)) as pool:
        with patch.dict(os.environ, CPU_MALLOC if launched else {}):
            pool.submit(os.getpid).result()
        yield lambda rows: pool.submit(_measure, rows).result()


def texts_with_negatives(home: Path, captions: Path | None) -> list[list[str]]:
    """Captions, each with at least 4 rewrites of the rules, one of a type."""
    prepared = prepare_file(home, _first_of(captions, home)) if captions else prepare_grammar(home / "grammar", NUM_CAPTIONS)
    measure(prepared, home, workers=1)
    rewrites: dict[int, dict[str, str]] = defaultdict(dict)
    for path in (home / "generate").glob("*/rewrites/*.parquet"):
        for row in read_table(path, REWRITES, ["caption_id", "type", "status", "text"]).to_pylist():
            if row["status"] == "ok":
                rewrites[row["caption_id"]][row["type"]] = row["text"]
    table = read_table(prepared.file("captions.parquet"), CAPTIONS, ["caption_id", "caption"]).to_pylist()
    rows = [[row["caption"], *rewrites[row["caption_id"]].values()] for row in table if len(rewrites[row["caption_id"]]) >= 4]
    random.Random(0).shuffle(rows)
    return rows


def _first_of(captions: Path, home: Path) -> Path:
    """A captions file with the first ones alone: tagging all takes minutes."""
    content = json.loads(captions.read_text())
    small = home / "captions.json"
    small.write_text(json.dumps(content | {"annotations": content["annotations"][:NUM_CAPTIONS]}))
    return small


def batches(rows: Sequence[list[str]], size: int, negatives: int = 4) -> Iterator[Rows]:
    """Batches without end."""
    endless = itertools.cycle(row[: 1 + negatives] for row in rows)
    while True:
        yield Rows([next(endless) for _ in range(size)])


@dataclass(frozen=True)
class Comparison:
    """The rounds of one setting."""

    precision: Precision
    what: str
    rounds: list[tuple[Measured, Measured]]

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios of CPU time, plain to ours."""
        return statistics.median(plain.cpu_seconds / ours.cpu_seconds for plain, ours in self.rounds)

    def line(self) -> str:
        plain, ours = zip(*self.rounds, strict=True)
        ratios = [one.cpu_seconds / two.cpu_seconds for one, two in self.rounds]
        seconds = (statistics.median(each.cpu_seconds for each in side) for side in (plain, ours))
        peaks = (max(each.peak_bytes for each in side) / 1e9 for side in (plain, ours))
        texts = f"{self.precision:5} {self.what:24} {len(ratios):6}" + "".join(f"{value:8.2f}" for value in seconds)
        return f"{texts}{self.ratio:8.2f}  {min(ratios):.2f}-{max(ratios):.2f}" + "".join(f"{value:8.1f}" for value in peaks)


def compare(precision: Precision, what: str, sides: Sequence[Callable], batch: Iterator[Rows], rounds: int) -> Comparison:
    """Steps of both in turns, on the same batches. Ends the program where their losses differ."""
    measured = [tuple(side(rows) for side in sides) for rows in itertools.islice(batch, rounds)]
    for plain, ours in measured:
        if abs(ours.loss - plain.loss) > TOLERANCE[precision] * plain.loss:
            sys.exit(f"{precision}, {what}: the loss is {ours.loss} and not {plain.loss}")
    found = Comparison(precision, what, measured)
    print(found.line(), flush=True)
    return found


def run(options: argparse.Namespace, rows: list[list[str]]) -> None:
    rounds, few = (1, 1) if options.quick else (options.rounds, max(1, options.rounds // 2))
    for dtype, size in ((torch.float32, 8), (torch.float64, 2)):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            print(f"difference in {dtype}, batch {size}: {pool.submit(equality, next(batches(rows, size)), dtype).result()}")
    by_length = sorted(rows, key=lambda row: len(row[0].split()))
    third = len(rows) // 3
    ratios = {}
    print(f"{'':30} {'rounds':>6}{'plain s':>8}{'ours s':>8}{'ratio':>8}  {'range':9} {'plain':>7} {'ours GB':>7}")
    for precision in ("fp32", "bf16") if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ("fp32",):
        with child(Plain, precision, options.same_allocator) as plain, child(Ours, precision, True) as ours:

            def comparison(what: str, batch: Iterator[Rows], rounds: int, sides: tuple = (plain, ours)) -> float:
                return compare(precision, what, sides, batch, rounds).ratio  # noqa: B023 (called in this turn of the loop)

            for side in (plain, ours):
                side(next(batches(rows, 2)))  # the first step makes the optimizer's state
            ratios[precision] = comparison("batch 8", batches(rows, 8), rounds)
            if options.quick:
                continue
            ratios[precision] = comparison("batch 16", batches(rows, 16), rounds)
            for negatives in (0, 1, 2):
                comparison(f"batch 8, {negatives} negatives", batches(rows, 8, negatives), few)
            comparison("batch 8, short captions", batches(by_length[:third], 8), few)
            comparison("batch 8, long captions", batches(by_length[-third:], 8), few)
            comparison("batch 32", batches(rows, 32), 1)
    print(f"CPU: {_units()}; {'batch 8' if options.quick else 'batch 16'}, 4 negatives:")
    print("train_step " + " ".join(f"{precision}_ratio={ratio:.2f}" for precision, ratio in ratios.items()))


def _units() -> str:
    """What bf16 is computed with here."""
    amx = torch.cpu._is_amx_tile_supported()
    return "AMX" if amx else "AVX-512 bf16, no AMX" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no bf16"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="a COCO captions file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="batch 8 alone, one round")
    parser.add_argument("--same-allocator", action="store_true", help="give the plain step our launcher's allocator settings too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = texts_with_negatives(Path(folder), options.captions)
    run(options, rows)


if __name__ == "__main__":
    main()
