"""The learning rate and the teacher against their definitions."""

import math
from pathlib import Path

import pytest
import torch

from degla.experiments.experiment import load_experiment
from degla.train.config import TrainConfig
from degla.train.schedule import learning_rate
from degla.train.teacher import Teacher, ema_alpha


def test_the_rate_rises_linearly_and_falls_as_a_cosine():
    rates = [learning_rate(step, steps=100, warmup_steps=10, peak=2.0) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 + math.cos(math.pi * 89 / 90))
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_the_rate_without_warmup_starts_at_the_peak_and_a_run_of_warmup_alone_works():
    assert learning_rate(0, steps=5, warmup_steps=0, peak=1.0) == 1.0
    assert learning_rate(4, steps=5, warmup_steps=5, peak=1.0) == pytest.approx(1.0)


def test_alpha_of_the_papers_run_is_the_papers():
    assert ema_alpha(TrainConfig(), 8085) == pytest.approx(0.9996, abs=1e-5)
    assert ema_alpha(TrainConfig(ema_start_weight=0.5), 10) ** 10 == pytest.approx(0.5)


def test_a_half_life_does_not_depend_on_batch_or_run():
    for batch, steps in ((64, 900), (256, 10)):
        alpha = ema_alpha(TrainConfig(batch_size=batch, ema_half_life_samples=25_600), steps)
        assert alpha ** (25_600 / batch) == pytest.approx(0.5)


def test_the_documented_conversion_of_the_papers_constants_is_the_codes():
    text = (Path(__file__).parents[2] / "docs" / "method.md").read_text()
    half_life = 256 * math.log(2) / -math.log(0.9996)
    assert f"h = {half_life:,.0f}" in text
    assert ema_alpha(TrainConfig(ema_half_life_samples=round(half_life)), 1) == pytest.approx(0.9996, abs=1e-8)
    assert f"s = {0.9996**8085:.3f}" in text
    assert f"At 0.9996 it would be {0.9996**900:.2f} after 900 steps" in text
    assert f"d = {0.005 * 256:.2f}" in text
    assert TrainConfig().loss.distill == pytest.approx(0.005 * 256)
    demo = load_experiment("demo").train
    assert ema_alpha(demo, demo.steps) == pytest.approx(0.9996, abs=1e-6)


def test_a_frozen_teacher_stays_as_it_was_bit_for_bit():
    torch.manual_seed(0)
    student = torch.nn.Linear(50, 30)
    teacher = Teacher(student, ema_alpha(TrainConfig(teacher="frozen", ema_half_life_samples=5), 10))
    before = [parameter.clone() for parameter in teacher.model.parameters()]
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.mul_(3.7)
    teacher.follow(student.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, teacher.model.parameters(), strict=True))


def test_the_teacher_follows_as_the_formula_says_and_never_trains():
    torch.manual_seed(0)
    student = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.LayerNorm(3))
    teacher = Teacher(student, alpha=0.9)
    expected = [parameter.detach().double().clone() for parameter in student.parameters()]
    for _ in range(20):
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(torch.randn_like(parameter))
        teacher.follow(list(student.parameters()))
        expected = [0.9 * old + 0.1 * new.detach().double() for old, new in zip(expected, student.parameters(), strict=True)]
    for found, wanted in zip(teacher.model.parameters(), expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
        assert not found.requires_grad
    assert not teacher.model.training
