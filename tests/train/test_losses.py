"""Every term against a slow float64 version written loop by loop from its formula, and against its invariants."""

import math

import numpy as np
import pytest
import torch

from degla.train.config import LossConfig
from degla.train.losses import contrastive, distillation, image_grounded, release_negatives, text_grounded
from degla.train.objective import Features, objective

SCALE = 14.3


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def draw(rows, negatives, width=7, seed=0, missing=True):
    """Random student and teacher features in float64; some negatives missing, one row without any."""
    random = np.random.default_rng([seed, rows, negatives])
    mask = random.random((rows, negatives)) < 0.7 if missing else np.ones((rows, negatives), bool)
    if missing and rows > 1:
        mask[1] = False

    def one():
        negative = unit(random.normal(size=(rows, negatives, width)))
        negative[~mask] = 0
        image, caption = unit(random.normal(size=(rows, width))), unit(random.normal(size=(rows, width)))
        return Features(*(torch.from_numpy(part) for part in (image, caption, negative, mask)))

    return one(), one()


def arrays(features):
    return [part.numpy() for part in (features.image_BD, features.caption_BD, features.negative_BKD, features.mask_BK)]


def select(features, rows):
    """The features of some rows, in the order given."""
    return Features(features.image_BD[rows], features.caption_BD[rows], features.negative_BKD[rows], features.mask_BK[rows])


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


def slow_image_grounded(student):
    image, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(image)):
        choices = [SCALE * image[i] @ caption[i]]
        choices += [SCALE * image[i] @ negative[i, k] for k in range(mask.shape[1]) if mask[i, k]]
        total += cross_entropy(choices, 0)
    return total / len(image)


def slow_text_grounded(student, teacher):
    _, caption, negative, mask = arrays(student)
    total = 0.0
    for i in range(len(caption)):
        choices = [10 * caption[i] @ teacher.caption_BD.numpy()[i]]
        choices += [10 * caption[i] @ negative[i, k] for k in range(mask.shape[1]) if mask[i, k]]
        total += cross_entropy(choices, 0)
    return total / len(caption)


def slow_text_grounded_as_released(student, teacher):
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


def slow_distillation(student, teacher):
    (image, caption, negative, mask), (image_, caption_, negative_, _) = arrays(student), arrays(teacher)
    total = 0.0
    for i in range(len(image)):
        total += ((image[i] - image_[i]) ** 2).sum() + ((caption[i] - caption_[i]) ** 2).sum()
        for k in range(mask.shape[1]):
            if mask[i, k]:
                total += ((negative[i, k] - negative_[i, k]) ** 2).sum()
    return total / len(image)


def fast(student, teacher):
    scale = torch.tensor(SCALE, dtype=torch.float64)
    image, caption, negative, mask = student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK
    return {
        "contrastive": contrastive(image, caption, image, caption, negative, mask, scale),
        "image_grounded": image_grounded(image, caption, negative, mask, scale),
        "text_grounded": text_grounded(caption, teacher.caption_BD, negative, mask),
        "release": text_grounded(caption, teacher.caption_BD, *release_negatives(negative, mask)),
        "distillation": distillation(image, student.text_BTD(), teacher.image_BD, teacher.text_BTD(), student.text_mask_BT()),
    }


@pytest.mark.parametrize(("rows", "negatives"), [(6, 4), (5, 1), (3, 0), (1, 4), (1, 0), (2, 7)])
def test_each_term_equals_its_formula(rows, negatives):
    student, teacher = draw(rows, negatives)
    terms = {name: float(value) for name, value in fast(student, teacher).items()}
    assert terms == pytest.approx(
        {
            "contrastive": slow_contrastive(student),
            "image_grounded": slow_image_grounded(student),
            "text_grounded": slow_text_grounded(student, teacher),
            "release": slow_text_grounded_as_released(student, teacher),
            "distillation": slow_distillation(student, teacher),
        },
        rel=1e-12,
        abs=1e-12,
    )


@pytest.mark.parametrize("release", ["paper", "release"])
def test_the_objective_is_the_weighted_sum(release):
    student, teacher = draw(6, 4)
    weights = LossConfig(igc=0.3, tgc=0.7, distill=1.28, tgc_negatives=release)
    losses = objective(student, teacher, torch.tensor(SCALE, dtype=torch.float64), weights)
    text = slow_text_grounded(student, teacher) if release == "paper" else slow_text_grounded_as_released(student, teacher)
    expected = slow_contrastive(student) + 0.3 * slow_image_grounded(student) + 0.7 * text
    assert float(losses.total) == pytest.approx(expected + 1.28 * slow_distillation(student, teacher), rel=1e-12)


def test_the_distillation_weight_equals_the_papers_sum_at_its_batch():
    student, teacher = draw(256, 4, missing=False)
    published = 0.005 * 256 * slow_distillation(student, teacher)  # 0.005 on the sum over the batch
    assert 1.28 * float(fast(student, teacher)["distillation"]) == pytest.approx(published, rel=1e-12)


def test_a_term_without_weight_is_not_computed_and_needs_no_teacher():
    student, _ = draw(6, 4)
    losses = objective(student, None, torch.tensor(SCALE), LossConfig(igc=0, tgc=0, distill=0))
    assert list(losses.parts) == ["contrastive"]


def perturbed(student, row):
    negative = student.negative_BKD.clone()
    negative[row] = torch.from_numpy(unit(np.random.default_rng(9).normal(size=negative[row].shape)))
    return Features(student.image_BD, student.caption_BD, negative, student.mask_BK)


def test_a_row_sees_its_own_negatives_alone_but_not_so_in_the_release():
    student, teacher = draw(6, 4, missing=False)
    changed = perturbed(student, 2)

    def rows(features, term):
        """The loss of each row by itself."""
        out = []
        for i in range(6):
            one = slice(i, i + 1)
            negative, mask = features.negative_BKD, features.mask_BK
            if term == "release":
                negative, mask = release_negatives(negative, mask)
            if term == "image":
                scale = torch.tensor(SCALE, dtype=torch.float64)
                value = image_grounded(features.image_BD[one], features.caption_BD[one], negative[one], mask[one], scale)
            else:
                value = text_grounded(features.caption_BD[one], teacher.caption_BD[one], negative[one], mask[one])
            out.append(float(value))
        return np.array(out)

    for term in ("image", "text"):
        assert np.flatnonzero(rows(student, term) != rows(changed, term)).tolist() == [2], term
    # caption 2 owns the flat negatives 8..11, which the released mask gives to rows 8 % 6 .. 11 % 6
    assert np.flatnonzero(rows(student, "release") != rows(changed, "release")).tolist() == [2, 3, 4, 5]


def test_rows_without_negatives_add_nothing_to_the_local_terms():
    student, teacher = draw(6, 4)
    assert not student.mask_BK[1].any()
    keep = [0, 2, 3, 4, 5]
    without = select(student, keep)
    scale = torch.tensor(SCALE, dtype=torch.float64)
    whole = image_grounded(student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK, scale)
    rest = image_grounded(without.image_BD, without.caption_BD, without.negative_BKD, without.mask_BK, scale)
    assert float(whole) == pytest.approx(float(rest) * 5 / 6)
    assert (
        float(text_grounded(student.caption_BD[1:2], teacher.caption_BD[1:2], student.negative_BKD[1:2], student.mask_BK[1:2]))
        == 0
    )


def test_what_stands_in_for_a_missing_negative_does_not_matter():
    student, teacher = draw(6, 4)
    filled = student.negative_BKD.clone()
    filled[~student.mask_BK] = 3.0
    other = Features(student.image_BD, student.caption_BD, filled, student.mask_BK)
    before, after = fast(student, teacher), fast(other, teacher)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_gradients_are_finite_where_everything_is_missing():
    student, teacher = draw(3, 4)
    negative = torch.zeros_like(student.negative_BKD, requires_grad=True)
    image = student.image_BD.clone().requires_grad_()
    empty = Features(image, student.caption_BD, negative, torch.zeros_like(student.mask_BK))
    losses = objective(empty, teacher, torch.tensor(SCALE, dtype=torch.float64), LossConfig())
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert torch.isfinite(image.grad).all()
    assert not negative.grad.any()


@pytest.mark.parametrize("negatives", [4, 0])
def test_repeating_the_batch_leaves_local_terms_and_raises_the_base_by_log_2(negatives):
    student, teacher = draw(6, negatives)

    again = [*range(6), *range(6)]
    once, repeated = fast(student, teacher), fast(select(student, again), select(teacher, again))
    for name in ("image_grounded", "text_grounded", "distillation"):
        assert float(repeated[name]) == pytest.approx(float(once[name]), rel=1e-12)
    assert float(repeated["contrastive"]) == pytest.approx(float(once["contrastive"]) + math.log(2), rel=1e-12)


def test_the_order_of_rows_does_not_matter():
    student, teacher = draw(6, 4)
    order = torch.tensor([3, 1, 5, 0, 2, 4])

    def shuffled(features):
        return Features(
            *(part[order] for part in (features.image_BD, features.caption_BD, features.negative_BKD, features.mask_BK))
        )

    before, after = fast(student, teacher), fast(shuffled(student), shuffled(teacher))
    for name in set(before) - {"release"}:
        assert float(after[name]) == pytest.approx(float(before[name]), rel=1e-12)
