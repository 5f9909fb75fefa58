"""The losses against torch's own, and that no gradient reaches a teacher."""

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from model.losses import classification, distillation
from model.network import Predictions


def test_distillation_is_the_bernoulli_divergence_at_temperature():
    student, teacher = torch.randn(6, 3), torch.randn(6, 3)
    expected = 4 * kl_divergence(Bernoulli(logits=teacher / 2), Bernoulli(logits=student / 2)).mean()
    torch.testing.assert_close(distillation(Predictions(student, teacher), 2.0), expected)


def test_distillation_vanishes_at_agreement_and_without_a_teacher():
    logits = torch.randn(6, 3)
    assert distillation(Predictions(logits, logits, logits, logits), 3.0).item() == pytest.approx(0, abs=1e-6)
    assert distillation(Predictions(logits), 3.0).item() == 0


def test_the_teacher_gets_no_gradient():
    student, teacher = torch.randn(6, 3, requires_grad=True), torch.randn(6, 3, requires_grad=True)
    distillation(Predictions(student, teacher), 2.0).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_classification_averages_over_the_predictions_that_there_are():
    logits, targets = torch.randn(6, 3), torch.randint(0, 2, (6, 3)).float()
    one = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(classification(Predictions(logits), targets), one)
    torch.testing.assert_close(classification(Predictions(logits, logits, logits, logits), targets), one)
