"""L = lambda_cls * L_cls + lambda_kd * L_kd (arXiv 2408.02888), and what was added to it.

Each finding is a Bernoulli variable of its own: a record may have several.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from model.network import Predictions

FOCAL_GAMMA = 2.0
ASYMMETRIC_GAMMA, ASYMMETRIC_MARGIN = 4.0, 0.05
ALIGNMENT_TEMPERATURE = 0.1
TRACE_BETA_MV = 0.1
"""Errors of traces beyond this count linearly."""


def classification(predictions: Predictions, targets_bc: Tensor, *,
                   kind: Literal["bce", "focal", "asymmetric"] = "bce") -> Tensor:
    """Return the mean loss over the predictions that there are; targets (B, C) in 0-1.

    Args:
        predictions: of the network.
        targets_bc: 0/1, or between where records were mixed.
        kind: `bce`, cross-entropy; `focal`, which counts what is hard (Lin et al. 2017, equation 4);
            `asymmetric`, which forgets easy negatives (Ridnik et al. 2021, equation 7).
    """
    return torch.stack([_KINDS[kind](z.float(), targets_bc).mean() for z in predictions.logits()]).mean()


def _bce(z: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, targets, reduction="none")


def _focal(z: Tensor, targets: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return _weighed(z, targets, (1 - p) ** FOCAL_GAMMA, p ** FOCAL_GAMMA)


def _asymmetric(z: Tensor, targets: Tensor) -> Tensor:
    shifted = (torch.sigmoid(z) - ASYMMETRIC_MARGIN).clamp(min=0)
    negative = shifted ** ASYMMETRIC_GAMMA * -torch.log1p(-shifted)
    return -targets * F.logsigmoid(z) + (1 - targets) * negative


def _weighed(z: Tensor, targets: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    return -targets * positive * F.logsigmoid(z) - (1 - targets) * negative * F.logsigmoid(-z)


_KINDS = {"bce": _bce, "focal": _focal, "asymmetric": _asymmetric}


def distillation(predictions: Predictions, temperature: float, *, taught: Tensor | None = None,
                 mutual: bool = False) -> Tensor:
    """Return how far z_i is from its teachers, averaged; zero where there is none.

    The teachers are z_s and z_i|s of this network, and what fixed ones said. The Kullback-Leibler divergence
    from the teacher's probability to the student's, both at `temperature`, times its square so that the
    gradient keeps its size (Hinton et al. 2015, section 2). No gradient reaches the teachers.

    Args:
        predictions: of the network.
        temperature: divides both logits.
        taught: probabilities (B, C) of fixed teachers.
        mutual: let z_s learn from z_i as well (Zhang et al. 2018).
    """
    teachers = [z.detach() for z in (predictions.signal, predictions.image_given_signal) if z is not None]
    if taught is not None:
        teachers.append(torch.logit(taught.float(), eps=1e-4))
    terms = [_divergence(teacher, predictions.image, temperature) for teacher in teachers]
    if mutual and predictions.signal is not None:
        terms.append(_divergence(predictions.image.detach(), predictions.signal, temperature))
    return torch.stack(terms).mean() if terms else predictions.image.new_zeros(())


def _divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    logits = teacher.float() / temperature
    soft = torch.sigmoid(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, soft)
    return (F.binary_cross_entropy_with_logits(student.float() / temperature, soft) - entropy) * temperature**2


def alignment(predictions: Predictions) -> Tensor:
    """Return how badly pages and signals find their partners in the batch (Radford et al. 2021, figure 3).

    The mean tokens of both streams are pulled together for the same record and apart for others.
    """
    image, signal = (F.normalize(part.float(), dim=1) for part in predictions.features)
    likeness = image @ signal.T / ALIGNMENT_TEMPERATURE
    partner = torch.arange(len(likeness), device=likeness.device)
    return (F.cross_entropy(likeness, partner) + F.cross_entropy(likeness.T, partner)) / 2


def attention_transfer(predictions: Predictions) -> Tensor:
    """Return how differently the page and the signal weigh the seconds of a record (Zagoruyko & Komodakis 2017, eq. 2).

    The squared distance of both streams' maps over time, each of length 1. Columns of a page that show the record's
    seconds one after the other lie beside the signal's; no gradient reaches the signal.
    """
    image, signal = (part.float() for part in predictions.attention)
    signal = F.interpolate(signal.detach()[:, None], image.shape[1], mode="linear")[:, 0]
    return (F.normalize(image, dim=1) - F.normalize(signal, dim=1)).square().sum(dim=1).mean()


def digitisation(traces_b12w: Tensor, truth_b12w: Tensor) -> Tensor:
    """Return the mean error, Huber's with `TRACE_BETA_MV`, in mV, over the columns that show a lead (not NaN)."""
    printed = truth_b12w.isfinite()
    return F.smooth_l1_loss(traces_b12w.float()[printed], truth_b12w[printed], beta=TRACE_BETA_MV)
