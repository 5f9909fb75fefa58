"""Where a training's weights come from before its first step: another checkpoint, or pretraining without labels."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ecg.records import RecordStore
from model.baselines import Network
from model.checkpoint import load_checkpoint
from model.params import ModelParams, TrainParams
from model.typed import from_dict

WHAT_READS = ("architecture", "image_widths", "image_depths", "token_dim", "heads", "pool_grid", "attention_depth",
              "smam", "smam_place", "lead_positions")
"""Fields of the model that the weights of the image stream depend on."""
MASKED = 0.4
"""Share of a page's patches that pretraining blanks; of others 0 alone was tried, which comes to a little less."""


def before(run: str) -> str:
    """Return by what name or signature the pretraining of a run is known: the run's own, and nobody else's."""
    return f"{run}.pretrain"


def begin_with(checkpoint: Path, net: Network, store: RecordStore, model: ModelParams) -> None:
    """Give the network the weights of a checkpoint that reads pages alike and knows the same findings.

    Parts that only training has (signal stream, CMAM, digitiser) are taken where they fit, and begin anew elsewhere.

    Raises:
        ValueError: the checkpoint cannot be read, or is of another network or other findings.
    """
    other, meta = load_checkpoint(checkpoint)
    theirs = from_dict(ModelParams, meta["model"], "model")
    differing = [f"model.{name}" for name in WHAT_READS if getattr(theirs, name) != getattr(model, name)]
    if list(store.label_names) != list(meta["label_names"]):
        differing.append("label_names")
    if differing:
        raise ValueError(f"train.start_from: {checkpoint} has another {', '.join(differing)}; begin with one trained "
                         "alike")
    take(other, net)


def take(source: Network, net: Network) -> None:
    """Copy the weights of each part that both networks have in the same shape."""
    for name, part in net.named_children():
        begun = getattr(source, name, None)
        if begun is not None and _shapes(begun) == _shapes(part):
            part.load_state_dict(begun.state_dict())


def _shapes(part: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in part.state_dict().items()}


def pretraining(params: TrainParams, model: ModelParams) -> tuple[TrainParams, ModelParams]:
    """Return the settings of the `train.pretrain` epochs that precede a training with these.

    The image stream reads the twelve signals off pages of which patches are blank, as masked autoencoders fill in
    pictures (He et al. 2022), but the truth is millivolts, not pixels. No label, teacher or signal stream takes part.
    """
    return (replace(params.alone(), epochs=params.pretrain, pretrain=0, lambda_cls=0.0, lambda_kd=0.0,
                    lambda_align=0.0, lambda_attention=0.0, lambda_trace=1.0, mask=MASKED, mixup=0.0, patience=0,
                    profile=0, page_scale_start=1.0, sampling="uniform"),
            replace(model, digitiser=True, signal_stream=False, cmam=False))
