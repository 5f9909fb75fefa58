"""Every knob of params.yaml, typed: one frozen dataclass a section, unknown keys and wrong types refused by name."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from model.params_data import (
    CAPTURES,
    SALT_VARIABLE,
    FetchParams,
    IngestParams,
    PageParams,
    RenderParams,
    ValidateParams,
)
from model.params_release import (
    DeployParams,
    EvaluateParams,
    GateParams,
    MonitorParams,
    PackageParams,
    RegisterParams,
    Rule,
    TrackingParams,
)
from model.params_train import ModelParams, TrainParams
from model.typed import from_dict, override

__all__ = ["CAPTURES", "SALT_VARIABLE", "DeployParams", "EvaluateParams", "FetchParams", "GateParams", "IngestParams",
           "ModelParams", "MonitorParams", "PackageParams", "PageParams", "Params", "RegisterParams", "RenderParams",
           "Rule", "TrackingParams", "TrainParams", "ValidateParams", "load_params"]


@dataclass(frozen=True)
class Params:
    """All of params.yaml."""

    seed: int = 7
    ingest: IngestParams = field(default_factory=IngestParams)
    validate: ValidateParams = field(default_factory=ValidateParams)
    page: PageParams = field(default_factory=PageParams)
    render: RenderParams = field(default_factory=RenderParams)
    model: ModelParams = field(default_factory=ModelParams)
    train: TrainParams = field(default_factory=TrainParams)
    evaluate: EvaluateParams = field(default_factory=EvaluateParams)
    gate: GateParams = field(default_factory=GateParams)
    package: PackageParams = field(default_factory=PackageParams)
    register: RegisterParams = field(default_factory=RegisterParams)
    deploy: DeployParams = field(default_factory=DeployParams)
    monitor: MonitorParams = field(default_factory=MonitorParams)
    tracking: TrackingParams = field(default_factory=TrackingParams)


def load_params(path: Path | str = "params.yaml", overrides: tuple[str, ...] = ()) -> Params:
    """Read params.yaml, with `section.key=value` overrides on top.

    Raises:
        ValueError: no such file, not YAML, an unknown key, a value of the wrong type or out of its range.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give --params, or call from the project's folder") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: must hold sections, such as 'train:'")
    for text in overrides:
        override(raw, text)
    try:
        return from_dict(Params, raw)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
