"""The losses against torch's own, and that no gradient reaches a teacher."""

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from model.losses import alignment, attention_transfer, classification, digitisation, distillation
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


def test_other_classification_losses_follow_their_formulas():
    z, y = torch.linspace(-4, 4, 12).view(4, 3), torch.randint(0, 2, (4, 3)).float()
    p = torch.sigmoid(z)
    told = torch.where(y == 1, p, 1 - p)
    focal = -((1 - told) ** 2 * told.log()).mean()
    torch.testing.assert_close(classification(Predictions(z), y, kind="focal"), focal)
    shifted = (p - 0.05).clamp(min=0)
    asymmetric = -torch.where(y == 1, p.log(), shifted**4 * (1 - shifted).log()).mean()
    torch.testing.assert_close(classification(Predictions(z), y, kind="asymmetric"), asymmetric)


def test_fixed_teachers_and_mutual_learning_add_their_terms():
    image, signal = torch.randn(6, 3, requires_grad=True), torch.randn(6, 3, requires_grad=True)
    taught = torch.rand(6, 3)
    teacher = Bernoulli(logits=torch.logit(taught) / 2)
    expected = 4 * kl_divergence(teacher, Bernoulli(logits=image / 2)).mean()
    torch.testing.assert_close(distillation(Predictions(image), 2.0, taught=taught), expected)
    distillation(Predictions(image, signal), 2.0, mutual=True).backward()
    assert signal.grad.abs().sum() > 0


def test_alignment_is_least_where_partners_match():
    features = torch.eye(8)
    matched, mixed = (alignment(Predictions(torch.zeros(8, 1), features=(features, other)))
                      for other in (features, features.roll(1, 0)))
    assert matched < 0.01 < 5 < mixed


def test_attention_is_compared_second_by_second_and_taught_to_the_page_alone():
    image = torch.linspace(0.1, 1, 8).expand(3, 8).clone().requires_grad_()
    signal = torch.nn.functional.interpolate(image.detach()[:, None], 16, mode="linear")[:, 0] * 5
    signal.requires_grad_()
    same, turned = (attention_transfer(Predictions(image, attention=(image, other)))
                    for other in (signal, signal.flip(1)))
    assert same.item() < 0.02 < turned.item()
    one = torch.eye(2).repeat_interleave(2, dim=1)  # Seconds apart: vectors of length 1 at a right angle.
    assert attention_transfer(Predictions(image, attention=(one[:1], one[1:]))).item() == pytest.approx(2)
    turned.backward()
    assert signal.grad is None and image.grad.abs().sum() > 0


def test_digitisation_counts_printed_columns_only():
    truth = torch.full((1, 12, 4), torch.nan)
    truth[0, 3, 1:3] = torch.tensor([1.0, 2.0])
    read = torch.zeros(1, 12, 4)
    assert digitisation(read, truth).item() == pytest.approx(1.5 - 0.05)
    read[0, 3, 1:3] = truth[0, 3, 1:3]
    assert digitisation(read, truth).item() == 0
