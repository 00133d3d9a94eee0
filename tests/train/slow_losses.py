"""The losses as slow float64 loops, each written from its formula, and random features for them."""

import math
from dataclasses import replace

import numpy as np
import torch

from degla.train.embeddings import Embeddings, LocalEmbeddings

SCALE = 14.3


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def draw(rows, negatives, width=7, seed=0, missing=True):
    """Random student and teacher features in float64; some negatives missing, one row without any. Tokens of a text count up
    to a random length, the start never."""
    random = np.random.default_rng([seed, rows, negatives])
    mask = random.random((rows, negatives)) < 0.7 if missing else np.ones((rows, negatives), bool)
    if missing and rows > 1:
        mask[1] = False

    kind = np.where(mask, random.integers(5, size=mask.shape), -1).astype(np.int8)
    lengths = random.integers(2, 6, size=(rows, 1 + negatives)) * np.c_[np.ones((rows, 1), int), mask]
    counts = (np.arange(6) > 0) & (np.arange(6) < lengths[:, :, None])

    def one():
        negative = unit(random.normal(size=(rows, negatives, width)))
        negative[~mask] = 0
        token = unit(random.normal(size=(rows, 1 + negatives, 6, width))) * counts[..., None]
        patch = random.normal(size=(rows, 3, width))
        image, caption = unit(random.normal(size=(rows, width))), unit(random.normal(size=(rows, width)))
        parts = [torch.from_numpy(part) for part in (image, caption, negative, kind, patch, token)]
        return Embeddings(*parts[:4], LocalEmbeddings(*parts[4:]))

    return one(), one()


def arrays(features):
    return [part.numpy() for part in (features.image_BD, features.caption_BD, features.negative_BKD, features.mask_BK)]


def select(features, rows):
    """The features of some rows, in the order given."""
    local = LocalEmbeddings(features.local.patch_BPD[rows], features.local.token_BTLD[rows])
    return Embeddings(
        features.image_BD[rows], features.caption_BD[rows], features.negative_BKD[rows], features.type_BK[rows], local
    )


def cross_entropy(logits, target):
    return math.log(sum(math.exp(value) for value in logits)) - logits[target]


def slow_contrastive(student):
    image, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(image)):
        texts = [SCALE * image[i] @ caption[j] for j in range(len(image))]
        for j in range(len(image)):
            texts += [SCALE * image[i] @ negative[j, k] for k in range(mask.shape[1]) if mask[j, k]]
        images = [SCALE * caption[i] @ image[j] for j in range(len(image))]
        total += (cross_entropy(texts, i) + cross_entropy(images, i)) / 2
    return total / len(image)


def slow_igc(student):
    image, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(image)):
        choices = [SCALE * image[i] @ caption[i]]
        choices += [SCALE * image[i] @ negative[i, k] for k in range(mask.shape[1]) if mask[i, k]]
        total += cross_entropy(choices, 0)
    return total / len(image)


def slow_tgc(student, teacher):
    _, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(caption)):
        choices = [10 * caption[i] @ teacher.caption_BD.numpy()[i]]
        choices += [10 * caption[i] @ negative[i, k] for k in range(mask.shape[1]) if mask[i, k]]
        total += cross_entropy(choices, 0)
    return total / len(caption)


def slow_tgc_as_released(student, teacher):
    """The released mask written out: columns of the flat, image-major negatives that `repeat` selects for row i."""
    _, caption, negative, mask = arrays(student)
    rows, negatives = mask.shape
    total = 0.0
    for i in range(rows):
        choices = [10 * caption[i] @ teacher.caption_BD.numpy()[i]]
        for column in range(rows * negatives):
            owner, k = divmod(column, negatives)
            if column % rows == i and mask[owner, k]:
                choices.append(10 * caption[i] @ negative[owner, k])
        total += cross_entropy(choices, 0)
    return total / rows


def slow_distill(student, teacher):
    (image, caption, negative, mask), (image_, caption_, negative_, _) = arrays(student), arrays(teacher)
    total = 0.0
    for i in range(len(image)):
        total += ((image[i] - image_[i]) ** 2).sum() + ((caption[i] - caption_[i]) ** 2).sum()
        for k in range(mask.shape[1]):
            if mask[i, k]:
                total += ((negative[i, k] - negative_[i, k]) ** 2).sum()
    return total / len(image)


MARGINS = [0.5, 0.0, 4.0, 1.5, 10.0]


def slow_cmr(student, margins):
    image, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(image)):
        for k in range(mask.shape[1]):
            if mask[i, k]:
                margin = margins[student.type_BK[i, k]]
                total += max(0.0, margin + SCALE * image[i] @ negative[i, k] - SCALE * image[i] @ caption[i])
    return total / mask.size if mask.size else 0.0


def slow_margins(student, previous):
    image, caption, negative, mask = arrays(student)
    gaps = {kind: [] for kind in range(5)}
    for i, k in zip(*np.nonzero(mask), strict=True):
        gaps[int(student.type_BK[i, k])].append(SCALE * image[i] @ caption[i] - SCALE * image[i] @ negative[i, k])
    return [min(10.0, max(0.0, np.mean(gaps[kind]))) if gaps[kind] else previous[kind] for kind in range(5)]


def slow_imc(student):
    image, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(image)):
        logits = [SCALE * image[i] @ caption[i]]
        logits += [SCALE * caption[i] @ negative[j, k] for j, k in zip(*np.nonzero(mask), strict=True)]
        total += cross_entropy(logits, 0)
    return total / len(image)


def slow_focal(logits, gamma, smoothing):
    """Of one row: its logits, the right choice first."""
    share = [math.exp(logit) / sum(math.exp(other) for other in logits) for logit in logits]
    label = [smoothing / len(logits) + (1 - smoothing if c == 0 else 0) for c in range(len(logits))]
    return sum(label[c] * (1 - share[c]) ** gamma * -math.log(share[c]) for c in range(len(logits)))


def slow_global_negatives(student, gamma, smoothing):
    image, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(image)):
        logits = [SCALE * image[i] @ text for text in [caption[i], *negative[i][mask[i]]]]
        total += slow_focal(logits, gamma, smoothing)
    return total / len(image)


def slow_local_score(patches, tokens):
    """As the paper writes it: weights min-max normalised over the patches, then divided by their sum."""
    score = 0.0
    for token in tokens:
        if not token.any():
            continue
        weights = np.array([token @ patch for patch in patches])
        weights = (weights - weights.min()) / (weights.max() - weights.min())
        view = sum(weight * patch for weight, patch in zip(weights / weights.sum(), patches, strict=True))
        score += math.exp(SCALE * token @ view / np.linalg.norm(view))
    return math.log(score)


def slow_local_negatives(student, gamma, smoothing):
    mask, patches, tokens = student.mask_BK.numpy(), student.local.patch_BPD.numpy(), student.local.token_BTLD.numpy()
    total = 0.0
    for i in range(len(mask)):
        texts = [0, *(1 + np.flatnonzero(mask[i]))]
        total += slow_focal([slow_local_score(patches[i], tokens[i, t]) for t in texts], gamma, smoothing)
    return total / len(mask)


def slow_objective(name, student):
    """The total of a baseline with its default weights, from the slow terms; for CE-CLIP its first step, without margins."""
    none = replace(student, negative_BKD=student.negative_BKD[:, :0], type_BK=student.type_BK[:, :0])
    if name == "clip":
        return slow_contrastive(none)
    if name == "negclip":
        return slow_contrastive(student)
    if name == "ce_clip":
        return slow_contrastive(student) + 0.4 * slow_cmr(student, [0.0] * 5) + 0.2 * slow_imc(student)
    local = slow_local_negatives(student, 2.0, 0.02)
    return slow_contrastive(none) + 0.5 * slow_global_negatives(student, 2.0, 0.02) + 0.2 * local
