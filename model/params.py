"""Every knob of params.yaml, typed: one frozen dataclass a section, unknown keys and wrong types refused by name."""

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from ecg.paper.layout import LAYOUTS


@dataclass(frozen=True)
class IngestParams:
    """Where the records come from and how they enter the store."""

    source: Literal["simulated", "wfdb_folder", "ptbxl"] = "simulated"
    data: str = "data/simulated"
    """Folder of the source; relative to the place the command is called from."""
    labels: tuple[str, ...] = ()
    """Findings to keep, in this order; empty: the source's own list."""
    sampling_rate: float = 100.0
    """Hz in the store; other rates are resampled."""
    source_rate: Literal[100, 500] = 100
    """Which of PTB-XL's two sets of files is read."""
    duration: float = 10.0
    """Seconds in the store: longer records are cropped, shorter ones padded, both flagged."""
    train_folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    validate_folds: tuple[int, ...] = (9,)
    test_folds: tuple[int, ...] = (10,)
    max_quarantined: float = 0.02
    """Share of records that may be quarantined before the step fails."""
    limit: int = 0
    """Only this many records of the source, evenly spread over it; 0: all."""

    def __post_init__(self) -> None:
        folds = self.train_folds + self.validate_folds + self.test_folds
        _check(len(folds) == len(set(folds)), "ingest.*_folds", "a fold stands in two splits")
        _check(0 <= self.max_quarantined <= 1, "ingest.max_quarantined", "must lie in 0-1")


@dataclass(frozen=True)
class ValidateParams:
    """Bounds of the expectations on the store."""

    min_records: int = 50
    min_prevalence: float = 0.002
    """Least share of the training records that carries each label."""
    max_prevalence: float = 0.98
    max_amplitude_mv: float = 20.0
    max_std_mv: float = 3.0
    """Standard deviation of a lead; more is noise or a wrong gain."""
    max_clipped_share: float = 0.2
    """Share of a lead's samples that may lie on its least or greatest value, as at an amplifier's rail."""
    max_flat_share: float = 0.02
    """Share of (record, lead) pairs that may be flat."""
    max_identity_error_uv: float = 20.0
    """Median violation of I + III = II that a record may show."""
    mostly: float = 0.98
    """Share of records that must satisfy each non-critical expectation."""


@dataclass(frozen=True)
class PageParams:
    """The canonical page: what the model reads."""

    layout: str = "3x4+1R"
    height: int = 192
    width: int = 384
    px_per_mm: float = 1.5

    def __post_init__(self) -> None:
        _check(self.height % 32 == 0 and self.width % 32 == 0, "page.height/width", "must be multiples of 32")
        _check(0.5 <= self.px_per_mm <= 20, "page.px_per_mm", "must lie in 0.5-20")


CAPTURES = ("clean", "scan", "photo", "screen", "fax", "photocopy")
"""Those of `ecg.paper.capture`, which takes long to import."""


@dataclass(frozen=True)
class RenderParams:
    """The frozen evaluation pages."""

    captures: tuple[str, ...] = ("clean",)
    """How each set of pages was taken: `clean` as the model reads them; scan, photo, screen, fax or photocopy printed,
    captured and located. `photo@6x2` has that layout instead of the page's own."""
    splits: tuple[Literal["train", "validate", "test"], ...] = ("validate", "test")
    contact_sheet: int = 12
    """Pages on the contact sheet."""
    samples: int = 4
    """Full-size colour pages of the test split written as PNG, to look at and to try `vizecg predict` on."""
    sample_dpi: int = 200

    def __post_init__(self) -> None:
        for view in self.captures:
            kind, _, name = view.partition("@")
            _check(kind in CAPTURES, "render.captures", f"{kind!r} is none of {', '.join(CAPTURES)}")
            _check(not name or name in LAYOUTS, "render.captures", f"unknown layout {name!r}; known are "
                   f"{', '.join(LAYOUTS)}")


@dataclass(frozen=True)
class ModelParams:
    """The network; every part has a switch."""

    architecture: Literal["vizecgnet", "resnet1d_wang", "xresnet1d101", "inceptiontime", "vit1d", "resnet2d",
                          "efficientnet2d", "convnext2d", "late_fusion"] = "vizecgnet"
    """VizECGNet, or a baseline, to which nothing else of this section but `signal_crop` applies."""
    signal_crop: int = 0
    """Samples of a random stretch on which a signal baseline trains; it then reads a record as the mean over
    such windows (Strodthoff et al. 2021 took 2.5 s). 0: whole records."""
    image_widths: tuple[int, ...] = (24, 48, 96, 192)
    image_depths: tuple[int, ...] = (1, 2, 2, 2)
    signal_widths: tuple[int, ...] = (64, 96, 128, 192)
    signal_depths: tuple[int, ...] = (1, 1, 1, 1)
    signal_kernel: int = 7
    token_dim: int = 128
    heads: int = 4
    dropout: float = 0.1
    pool_grid: tuple[int, ...] = (1, 1)
    """Rows and columns of page parts whose means the image head sees; (1, 1): the whole page's."""
    attention_depth: int = 1
    """SMAM blocks of each stream."""
    digitiser: bool = False
    """A head that reads the twelve signals off the page, in training only; `train.lambda_trace` weighs its loss."""
    signal_stream: bool = True
    """Off: the image stream trains alone, without CMAM and distillation."""
    smam: bool = True
    cmam: bool = True

    def __post_init__(self) -> None:
        for stream in ("image", "signal"):
            widths, depths = getattr(self, f"{stream}_widths"), getattr(self, f"{stream}_depths")
            _check(len(widths) == len(depths) == 4, f"model.{stream}_widths/depths", "must have four stages each")
        _check(len(self.pool_grid) == 2 and min(self.pool_grid) >= 1, "model.pool_grid", "must be two numbers from 1")
        _check(self.signal_crop >= 0, "model.signal_crop", "must be 0 or a number of samples")
        _check(self.token_dim % self.heads == 0, "model.token_dim", "must be a multiple of model.heads")
        _check(not self.cmam or self.signal_stream, "model.cmam", "needs model.signal_stream")


@dataclass(frozen=True)
class TrainParams:
    """The optimisation."""

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises; a cosine takes it to zero after."""
    grad_clip: float = 1.0
    ema: float = 0.998
    """Decay of the averaged weights that are evaluated and shipped; 0: none."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the device has matrix units for it, else fp32."""
    lambda_cls: float = 1.0
    lambda_kd: float = 1.0
    temperature: float = 2.0
    teachers: tuple[str, ...] = ()
    """Folders of checkpoints, of any architecture, whose mean probability the image stream learns from as well."""
    kd_mutual: bool = False
    """Let the signal stream learn from the image stream too."""
    lambda_align: float = 0.0
    """Weight of the contrast between matching and other pairs of page and signal."""
    lambda_trace: float = 0.0
    """Weight of the digitiser's error."""
    loss: Literal["bce", "focal", "asymmetric"] = "bce"
    """The classification loss."""
    mixup: float = 0.0
    """Share of the training records that are drawn as a blend of two, signals and findings alike."""
    augment: float = 1.0
    """Strength of the page and signal augmentation; 0: none."""
    page_scale_start: float = 1.0
    """Share of the page's resolution in the first epochs; it grows to 1 (progressive resizing)."""
    full_scale_from: float = 0.5
    """Share of the epochs after which the page has its full resolution."""
    start_from: str = ""
    """Folder of a checkpoint whose weights the training begins with; empty: random ones."""
    layouts: tuple[str, ...] = ()
    """Layouts of training pages, one drawn for each page; empty: the page's own."""
    any_second: float = 0.0
    """Share of the training pages whose columns begin at any second of the record, not where a cart's do."""
    wear: float = 0.0
    """Strength of what copying and finding leave on a page: blur, folds, noise, a slight slant; 0: none."""
    workers: int = 0
    """Threads that render pages ahead of the step; 0: rendered in the loop."""
    shuffle_labels: bool = False
    """The control experiment: labels permuted among the training records."""
    checkpoint_every: int = 1
    """Epochs between checkpoints of the whole state."""

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, "train.epochs", "must be at least 1")
        _check(self.batch_size >= 2, "train.batch_size", "must be at least 2")
        _check(0 <= self.ema < 1, "train.ema", "must lie in 0-1, 1 excluded")
        for name in self.layouts:
            _check(name in LAYOUTS, "train.layouts", f"unknown layout {name!r}; known are {', '.join(LAYOUTS)}")
        _check(0 <= self.wear <= 2, "train.wear", "must lie in 0-2")
        for name in ("mixup", "any_second"):
            _check(0 <= getattr(self, name) <= 1, f"train.{name}", "must lie in 0-1")
        _check(0 < self.page_scale_start <= 1, "train.page_scale_start", "must lie in 0-1, 0 excluded")


@dataclass(frozen=True)
class EvaluateParams:
    """How the model is measured."""

    resamples: int = 1000
    """Patient-level bootstrap resamples."""
    level: float = 0.95
    threshold: Literal["f1", "youden"] = "f1"
    """What each class's threshold maximises on the validation split."""
    batch_size: int = 64

    def __post_init__(self) -> None:
        _check(self.resamples >= 1, "evaluate.resamples", "must be at least 1")
        _check(0 < self.level < 1, "evaluate.level", "must lie between 0 and 1")
        _check(self.batch_size >= 1, "evaluate.batch_size", "must be at least 1")


@dataclass(frozen=True)
class Rule:
    """One declared condition of the gate."""

    metric: str = "test.clean.macro.auroc"
    bound: Literal["value", "low", "high"] = "value"
    """Which end of the interval is compared."""
    must_be: Literal["at_least", "at_most"] = "at_least"
    limit: float = 0.9

    def __post_init__(self) -> None:
        if not math.isfinite(self.limit):  # Not _check, which the default below would need before it is defined.
            raise ValueError(f"gate.rules.limit: must be a finite number, not {self.limit}")


@dataclass(frozen=True)
class GateParams:
    """The rules that a model must satisfy, all of them."""

    rules: tuple[Rule, ...] = (Rule(),)
    champion_margin: float = 0.005
    """How far macro AUROC may lie below the champion's on the same pages."""


@dataclass(frozen=True)
class PackageParams:
    """The exported model."""

    parity: float = 1e-4
    """Largest difference of probabilities between the package and the eager model."""
    name: str = "vizecgnet"


@dataclass(frozen=True)
class RegisterParams:
    """The MLflow model registry."""

    name: str = "vizecgnet"


@dataclass(frozen=True)
class DeployParams:
    """TorchServe."""

    name: str = "vizecgnet"
    inference: str = "http://127.0.0.1:8080"
    management: str = "http://127.0.0.1:8081"
    metrics: str = "http://127.0.0.1:8082"
    state: str = ""
    """Folder of the server: keys, configuration, model store, logs; empty: `torchserve` beside the deployment."""
    token_minutes: float = 60.0
    """How long the server's keys are good for; ours are renewed by themselves."""
    workers: int = 1
    batch_size: int = 4
    max_batch_delay_ms: int = 20
    startup_timeout_s: int = 120
    parity: float = 1e-3
    """Largest difference between the served and the in-process probabilities of the smoke-test page."""


@dataclass(frozen=True)
class TrackingParams:
    """MLflow; `vizecg` lets MLFLOW_TRACKING_URI override the address."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "vizecgnet"


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
        _override(raw, text)
    try:
        return from_dict(Params, raw)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def from_dict(cls: type, raw: dict, where: str = ""):
    """Build a params dataclass from plain values (YAML, JSON, or Kubeflow's, where ints arrive as floats).

    Raises:
        ValueError: naming the field, what it holds and what it must be.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"{where or 'params'}: must be a section of keys, not {raw!r}")
    hints = typing.get_type_hints(cls)
    for key in raw:
        if key not in hints:
            raise ValueError(f"{_join(where, key)}: unknown key; {where or 'the file'} has {', '.join(hints)}")
    return cls(**{key: _coerce(value, hints[key], _join(where, key)) for key, value in raw.items()})


def as_dict(params) -> dict:
    """The plain values of a params dataclass: lists for tuples, ready for YAML, JSON or a hash."""
    return {f.name: _plain(getattr(params, f.name)) for f in dataclasses.fields(params)}


def _plain(value):
    if dataclasses.is_dataclass(value):
        return as_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _override(raw: dict, text: str) -> None:
    key, equals, value = text.partition("=")
    *sections, name = key.split(".")
    if not equals or not name:
        raise ValueError(f"--set {text}: write section.key=value")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ValueError(f"--set {text}: {section} is no section")
    raw[name] = yaml.safe_load(value)


def _coerce(value, hint, where: str):
    """Return `value` as the type `hint` says; whole floats count as ints, lists as tuples."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    if origin is tuple:
        _check(isinstance(value, list | tuple), where, f"must be a list, not {value!r}")
        return tuple(_coerce(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        value = int(value) if isinstance(value, float) and value.is_integer() else value
        _check(value in arguments, where, f"must be one of {', '.join(map(str, arguments))}, not {value!r}")
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    right = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    _check(right, where, f"must be {hint.__name__}, not {value!r}")
    return value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else str(key)


def _check(condition: bool, where: str, message: str) -> None:
    if not condition:
        raise ValueError(f"{where}: {message}")
