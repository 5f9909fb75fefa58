"""A trial of a sweep: what it changes of the parameters."""

from model.params import ModelParams, TrainParams
from model.typed import from_dict

KEYS = ("seed", "train", "model")


def of_trial(trial: dict, *, params: dict, model: dict, seed: int) -> tuple[TrainParams, ModelParams, int]:
    """Lay a trial over the parameters.

    Args:
        trial: any of `seed`, `train` and `model`, the last two in part: {"seed": 8, "train": {"epochs": 40}}.
        params, model: the sections train and model.
        seed: that of the run.

    Raises:
        ValueError: an unknown key, or a value that the section refuses.
    """
    unknown = [key for key in trial if key not in KEYS]
    if unknown:
        raise ValueError(f"trials: unknown key {unknown[0]!r}; a trial may give {', '.join(KEYS)}")
    return (from_dict(TrainParams, {**params, **trial.get("train", {})}, "train"),
            from_dict(ModelParams, {**model, **trial.get("model", {})}, "model"), int(trial.get("seed", seed)))
