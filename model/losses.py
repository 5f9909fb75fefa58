"""L = lambda_cls * L_cls + lambda_kd * L_kd (arXiv 2408.02888)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from model.network import Predictions


def classification(predictions: Predictions, targets_bc: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the predictions that there are; targets 0/1, (B, C)."""
    terms = [F.binary_cross_entropy_with_logits(z.float(), targets_bc) for z in predictions if z is not None]
    return torch.stack(terms).mean()


def distillation(predictions: Predictions, temperature: float) -> Tensor:
    """Return how far z_i is from its teachers z_s and z_i|s, averaged; zero without a signal stream.

    Each finding is a Bernoulli variable: the Kullback-Leibler divergence from the teacher's probability
    to the student's, both at `temperature`, times its square so that the gradient keeps its size (Hinton
    et al. 2015, section 2). No gradient reaches the teachers.
    """
    teachers = [z for z in (predictions.signal, predictions.image_given_signal) if z is not None]
    if not teachers:
        return predictions.image.new_zeros(())
    student = predictions.image.float() / temperature
    terms = []
    for teacher in teachers:
        logits = teacher.detach().float() / temperature
        soft = torch.sigmoid(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, soft)
        terms.append(F.binary_cross_entropy_with_logits(student, soft) - entropy)
    return torch.stack(terms).mean() * temperature**2
