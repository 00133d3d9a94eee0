"""Every term against its slow version (`slow_losses`), and against its invariants."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_losses import (
    MARGINS,
    SCALE,
    cross_entropy,
    draw,
    select,
    slow_cmr,
    slow_contrastive,
    slow_distill,
    slow_global_negatives,
    slow_igc,
    slow_imc,
    slow_local_negatives,
    slow_margins,
    slow_objective,
    slow_tgc,
    slow_tgc_as_released,
    unit,
)

from degla.train.config import TrainConfig
from degla.train.embeddings import Embeddings, LocalEmbeddings, alone
from degla.train.losses import (
    cmr,
    contrastive,
    distill,
    focal_choice,
    global_negatives,
    igc,
    imc,
    local_negatives,
    logit_gap,
    next_margins,
    release_negatives,
    tgc,
)
from degla.train.objective import View
from degla.train.objectives import OBJECTIVES


def fast(student, teacher):
    scale = torch.tensor(SCALE, dtype=torch.float64)
    image, caption, negative, mask = student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK
    margin = torch.tensor(MARGINS, dtype=torch.float64)[student.type_BK.clamp(min=0).long()]
    local = student.local
    return {
        "cmr": cmr(image, caption, negative, mask, margin, scale),
        "imc": imc(image, caption, negative, mask, scale),
        "global_negatives": global_negatives(image, caption, negative, mask, scale, 2.0, 0.02),
        "local_negatives": local_negatives(local.patch_BPD, local.token_BTLD, mask, scale, 2.0, 0.02),
        "contrastive": contrastive(image, caption, image, caption, negative, mask, scale),
        "igc": igc(image, caption, negative, mask, scale),
        "tgc": tgc(caption, teacher.caption_BD, negative, mask),
        "release": tgc(caption, teacher.caption_BD, *release_negatives(negative, mask)),
        "distill": distill(*student.pooled, *teacher.pooled, student.text_mask_BT()),
    }


@pytest.mark.parametrize(("rows", "negatives"), [(6, 4), (5, 1), (3, 0), (1, 4), (1, 0), (2, 7)])
def test_each_term_equals_its_formula(rows, negatives):
    student, teacher = draw(rows, negatives)
    terms = {name: float(value) for name, value in fast(student, teacher).items()}
    assert terms == pytest.approx(
        {
            "contrastive": slow_contrastive(student),
            "igc": slow_igc(student),
            "tgc": slow_tgc(student, teacher),
            "release": slow_tgc_as_released(student, teacher),
            "distill": slow_distill(student, teacher),
            "cmr": slow_cmr(student, MARGINS),
            "imc": slow_imc(student),
            "global_negatives": slow_global_negatives(student, 2.0, 0.02),
            "local_negatives": slow_local_negatives(student, 2.0, 0.02),
        },
        rel=1e-12,
        abs=1e-12,
    )


def objective_of(**settings):
    return TrainConfig.model_validate(settings).chosen


def losses_of(objective, student, teacher=None, memory=None, gather=alone):
    scale = torch.tensor(SCALE, dtype=torch.float64)
    return objective(View(student, teacher, *gather(student), scale, objective.start() if memory is None else memory))


@pytest.mark.parametrize("release", ["paper", "release"])
def test_the_objective_is_the_weighted_sum(release):
    student, teacher = draw(6, 4)
    objective = objective_of(loss={"igc": 0.3, "tgc": 0.7, "distill": 1.28, "tgc_negatives": release})
    losses = losses_of(objective, student, teacher)
    text = slow_tgc(student, teacher) if release == "paper" else slow_tgc_as_released(student, teacher)
    expected = slow_contrastive(student) + 0.3 * slow_igc(student) + 0.7 * text
    assert float(losses.total) == pytest.approx(expected + 1.28 * slow_distill(student, teacher), rel=1e-12)


@pytest.mark.parametrize(("rows", "weight"), [(256, 1.28), (64, 0.32)])
def test_the_distillation_weight_is_the_papers_times_its_batch(rows, weight):
    student, teacher = draw(rows, 4, missing=False)
    apart = [one.numpy() - two.numpy() for one, two in zip(parts_of(student), parts_of(teacher), strict=True)]
    published = 0.005 * sum((each**2).sum() for each in apart)  # a sum over the batch
    assert weight * float(fast(student, teacher)["distill"]) == pytest.approx(published, rel=1e-12)


def parts_of(features):
    return features.image_BD, features.caption_BD, features.negative_BKD


def test_a_term_without_weight_is_not_computed_and_needs_no_teacher():
    student, _ = draw(6, 4)
    objective = objective_of(loss={"igc": 0, "tgc": 0, "distill": 0})
    assert not objective.needs_teacher
    assert list(losses_of(objective, student).parts) == ["contrastive"]


def perturbed(student, row):
    negative = student.negative_BKD.clone()
    negative[row] = torch.from_numpy(unit(np.random.default_rng(9).normal(size=negative[row].shape)))
    return replace(student, negative_BKD=negative)


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
                value = igc(features.image_BD[one], features.caption_BD[one], negative[one], mask[one], scale)
            else:
                value = tgc(features.caption_BD[one], teacher.caption_BD[one], negative[one], mask[one])
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
    whole = igc(student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK, scale)
    rest = igc(without.image_BD, without.caption_BD, without.negative_BKD, without.mask_BK, scale)
    assert float(whole) == pytest.approx(float(rest) * 5 / 6)
    assert float(tgc(student.caption_BD[1:2], teacher.caption_BD[1:2], student.negative_BKD[1:2], student.mask_BK[1:2])) == 0


def test_what_stands_in_for_a_missing_negative_does_not_matter():
    student, teacher = draw(6, 4)
    filled = student.negative_BKD.clone()
    filled[~student.mask_BK] = 3.0
    tokens = student.local.token_BTLD.clone()
    tokens[:, 1:][~student.mask_BK] = 3.0
    other = replace(student, negative_BKD=filled, local=replace(student.local, token_BTLD=tokens))
    before, after = fast(student, teacher), fast(other, teacher)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_finite_where_everything_is_missing(name):
    student, teacher = draw(3, 4)
    negative = torch.zeros_like(student.negative_BKD, requires_grad=True)
    image, patch = student.image_BD.clone().requires_grad_(), student.local.patch_BPD.clone().requires_grad_()
    token = student.local.token_BTLD.clone()
    token[:, 1:] = 0
    token.requires_grad_()
    empty = Embeddings(image, student.caption_BD, negative, torch.full_like(student.type_BK, -1), LocalEmbeddings(patch, token))
    losses = losses_of(objective_of(objective=name), empty, teacher)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert torch.isfinite(image.grad).all()
    assert negative.grad is None or not negative.grad.any()
    if name == "fsc_clip":
        assert torch.isfinite(patch.grad).all()
        assert torch.isfinite(token.grad).all()


@pytest.mark.parametrize("negatives", [4, 0])
def test_repeating_the_batch_leaves_local_terms_and_raises_the_base_by_log_2(negatives):
    student, teacher = draw(6, negatives)

    again = [*range(6), *range(6)]
    once, repeated = fast(student, teacher), fast(select(student, again), select(teacher, again))
    local = ("igc", "tgc", "distill", "cmr", "global_negatives", "local_negatives")
    for name in local:
        assert float(repeated[name]) == pytest.approx(float(once[name]), rel=1e-12)
    assert float(repeated["contrastive"]) == pytest.approx(float(once["contrastive"]) + math.log(2), rel=1e-12)


def test_the_order_of_rows_does_not_matter():
    student, teacher = draw(6, 4)
    order = torch.tensor([3, 1, 5, 0, 2, 4])

    before, after = fast(student, teacher), fast(select(student, order), select(teacher, order))
    for name in set(before) - {"release"}:
        assert float(after[name]) == pytest.approx(float(before[name]), rel=1e-12)


@pytest.mark.parametrize("negatives", [4, 1, 0])
def test_the_next_margins_are_this_batchs_mean_gaps_by_type(negatives):
    student, _ = draw(9, negatives)
    scale = torch.tensor(SCALE, dtype=torch.float64)
    gap = logit_gap(student.image_BD, student.caption_BD, student.negative_BKD, scale)
    found = next_margins(gap, student.type_BK, torch.tensor(MARGINS, dtype=torch.float64))
    assert found.tolist() == pytest.approx(slow_margins(student, MARGINS), rel=1e-12)
    assert next_margins(gap - 100, student.type_BK, torch.zeros(5)).tolist() == [0.0] * 5
    far = next_margins(gap + 100, student.type_BK, torch.zeros(5))
    assert set(far.tolist()) <= ({10.0, 0.0} if negatives else {0.0})


def test_focal_choice_without_focus_and_smoothing_is_cross_entropy_and_a_right_choice_costs_little():
    student, _ = draw(6, 4)
    scale = torch.tensor(SCALE, dtype=torch.float64)
    parts = (student.image_BD, student.caption_BD, student.negative_BKD, student.mask_BK, scale)
    assert float(global_negatives(*parts, 0.0, 0.0)) == pytest.approx(slow_igc(student), rel=1e-12)
    assert float(global_negatives(*parts, 2.0, 0.0)) < float(global_negatives(*parts, 0.0, 0.0))
    positive, negative, mask = torch.tensor([50.0]), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    assert float(focal_choice(positive, negative, mask, 2.0, 0.0)) == pytest.approx(0.0, abs=1e-12)
    assert float(focal_choice(positive, negative, mask, 2.0, 0.3)) == pytest.approx(2 * 0.1 * 50)


def test_a_token_that_likes_all_patches_alike_sees_their_mean():
    patch, token = torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[[0.6, 0.8]], [[1.0, 0.0]]]])
    loss = local_negatives(patch, token, torch.ones(1, 1, dtype=torch.bool), torch.tensor(2.0), 0.0, 0.0)
    assert float(loss) == pytest.approx(cross_entropy([2 * 0.6, 2 * 1.0], 0))


@pytest.mark.parametrize(("name", "negatives"), [("clip", 0), ("negclip", 1), ("ce_clip", 4), ("fsc_clip", 4)])
def test_a_baseline_is_its_terms_with_the_papers_weights_and_needs_no_teacher(name, negatives):
    student, _ = draw(6, negatives)
    objective = objective_of(objective=name)
    assert not objective.needs_teacher
    assert objective.needs_local == (name == "fsc_clip")
    assert TrainConfig(objective=name).num_negatives == negatives
    total = losses_of(objective, student).total
    assert float(total) == pytest.approx(slow_objective(name, student), rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"objective": "ce_clip", "ce_clip": {"cmr": 0}}, ["contrastive", "imc"]),
        ({"objective": "ce_clip", "ce_clip": {"imc": 0}}, ["contrastive", "cmr"]),
        ({"objective": "fsc_clip", "fsc_clip": {"local_negatives": 0}}, ["contrastive", "global_negatives"]),
        ({"objective": "fsc_clip", "fsc_clip": {"global_negatives": 0}}, ["contrastive", "local_negatives"]),
    ],
)
def test_a_weight_of_0_is_the_ablation(settings, left):
    student, _ = draw(6, 4)
    objective = objective_of(**settings)
    if "local_negatives" not in left:
        student = replace(student, local=None)
        assert not objective.needs_local
    assert list(losses_of(objective, student).parts) == left
    assert bool(objective.start()) == ("cmr" in left)


def matching(student):
    """Captions near their images, so that the margins of CE-CLIP are not 0."""
    return replace(student, caption_BD=torch.nn.functional.normalize(student.image_BD + 0.3 * student.caption_BD, dim=-1))


def test_margins_are_those_of_the_step_before():
    batches = [matching(draw(6, 4, seed=seed)[0]) for seed in range(3)]
    objective, margins = objective_of(objective="ce_clip"), [0.0] * 5
    memory = objective.start()
    for batch in batches:
        losses = losses_of(objective, batch, memory=memory)
        assert float(losses.parts["cmr"]) == pytest.approx(slow_cmr(batch, margins), rel=1e-6)
        margins, memory = slow_margins(batch, margins), losses.memory
    assert any(margins)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_mean_over_ranks_is_the_loss_and_gradient_of_the_global_batch(name):
    student, teacher = draw(6, OBJECTIVES[name].num_negatives)
    student, objective = matching(student), objective_of(objective=name)

    def leaves():
        local = LocalEmbeddings(
            student.local.patch_BPD.clone().requires_grad_(), student.local.token_BTLD.clone().requires_grad_()
        )
        parts = [part.clone().requires_grad_() for part in (student.image_BD, student.caption_BD, student.negative_BKD)]
        return Embeddings(*parts, student.type_BK, local)

    def gradients(features):
        tensors = (features.image_BD, features.caption_BD, features.negative_BKD, *vars(features.local).values())
        return [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in tensors]

    whole, shared = leaves(), leaves()
    memory = objective.start()
    for _ in range(2):  # the second step has margins
        expected = losses_of(objective, whole, teacher, memory)
        found = []
        for first in (0, 2, 4):
            own = slice(first, first + 2)
            mine, old = select(shared, own), select(teacher, own)
            found.append(losses_of(objective, mine, old, memory, lambda _, first=first: (shared, first)))
        mean = sum(share.total for share in found) / 3
        assert float(mean.detach()) == pytest.approx(float(expected.total.detach()), rel=1e-12)
        assert {*found[0].parts} == {*expected.parts}
        memory = expected.memory
    expected.total.backward()
    mean.backward()
    for ours, theirs in zip(gradients(shared), gradients(whole), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert all(torch.equal(rank.memory[key], memory[key]) for rank in found for key in memory)
    assert all(value.any() for value in memory.values())


@pytest.mark.parametrize("gap", [0.05, 0.1, 0.15, 0.3])
def test_solved_rows_keep_their_loss_in_float32(gap):
    """Image and caption agree (cosine 0.9), the negatives lie `gap` below: the loss is about K exp(-100 gap), by the formula in
    float64."""
    rows, negatives, width = 64, 4, 8
    image = torch.eye(1, width).expand(rows, width)

    def at(cosine):
        cosine = torch.as_tensor(cosine, dtype=torch.float32).expand(rows)
        return torch.stack([cosine, (1 - cosine**2).sqrt(), *torch.zeros(width - 2, rows)], dim=1)

    spread = torch.rand(rows, negatives, generator=torch.Generator().manual_seed(0)) * 0.01
    caption = at(0.9)
    negative = torch.stack([at(0.9 - gap - spread[:, k]) for k in range(negatives)], dim=1)
    mask = torch.rand(rows, negatives, generator=torch.Generator().manual_seed(1)) < 0.8
    positive, others = caption.numpy()[:, 0].astype(float), negative.numpy()[:, :, 0].astype(float)
    for found, scale in (
        (igc(image, caption, negative, mask, torch.tensor(100.0)), 100.0),
        (tgc(image, caption, negative, mask), 10.0),
    ):
        logits = np.concatenate([np.zeros((rows, 1)), np.where(mask, scale * (others - positive[:, None]), -np.inf)], axis=1)
        expected = np.log1p(np.exp(logits[:, 1:]).sum(axis=1)).mean()
        assert float(found) == pytest.approx(expected, abs=5e-8 + 1e-5 * expected)
