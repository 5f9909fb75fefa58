"""The sections of params.yaml on a trained model: evaluate, gate, package, register, deploy, monitor, tracking."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from model.typed import check

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
"""What a model may be called: it names files and addresses, and stands in the registry's searches."""
LEAST_RESAMPLES, LEAST_LEVEL = 20, 0.8
"""Below these an interval says nothing about where a figure may lie."""


def refuse_name(name: str, where: str) -> None:
    """Refuse what no model may be called.

    Raises:
        ValueError: naming `where` the name stands.
    """
    check(re.fullmatch(NAME, name) is not None, where,
          f"{name!r} is no model's name; use letters, digits, '_', '.' and '-', a letter or digit first")


@dataclass(frozen=True)
class EvaluateParams:
    """How the model is measured."""

    resamples: int = 1000
    """Patient-level bootstrap resamples."""
    level: float = 0.95
    threshold: Literal["f1", "youden"] = "f1"
    """What each class's threshold maximises on the validation split."""
    batch_size: int = 64
    calibration: Literal["vector", "temperature", "none"] = "vector"
    """How probabilities are mended on the validation split: by finding, all alike, or not at all."""
    coverage: float = 0.9
    """Share of pages whose true answer the conformal sets are to hold, of each finding."""
    refused: float = 0.005
    """Share of the validation pages that the test of what is an ECG page may refuse."""

    def __post_init__(self) -> None:
        check(0 < self.coverage < 1, "evaluate.coverage", "must lie between 0 and 1")
        check(0 <= self.refused < 1, "evaluate.refused", "must lie between 0 and 1")
        # A gate that asks for an interval's end would ask for nothing where the interval is a point.
        check(self.resamples >= LEAST_RESAMPLES, "evaluate.resamples", f"must be at least {LEAST_RESAMPLES}")
        check(LEAST_LEVEL <= self.level < 1, "evaluate.level", f"must be at least {LEAST_LEVEL} and below 1")
        check(self.batch_size >= 1, "evaluate.batch_size", "must be at least 1")


@dataclass(frozen=True)
class Rule:
    """One declared condition of the gate."""

    metric: str = "test.clean.macro.auroc"
    bound: Literal["value", "low", "high"] = "value"
    """Which end of the interval is compared."""
    must_be: Literal["at_least", "at_most"] = "at_least"
    limit: float = 0.9
    comparison: Literal["absolute", "champion", "gap"] = "absolute"
    """What is compared: the figure; how much it is above the champion's on the same pages; the largest less the
    smallest over the subgroups of `by`."""
    by: str = ""
    """For a gap: what divides the subgroups, such as sex or age."""

    def __post_init__(self) -> None:
        check(math.isfinite(self.limit), "gate.rules.limit", f"must be a finite number, not {self.limit}")
        check((self.comparison == "gap") == bool(self.by), "gate.rules.by",
              "names what divides the subgroups (sex, age, ...), for a comparison of gap and for no other")


@dataclass(frozen=True)
class GateParams:
    """The rules that a model must satisfy, all of them."""

    rules: tuple[Rule, ...] = (Rule(),)
    champion_margin: float = 0.005
    """How far macro AUROC may lie below the champion's on the same pages."""
    spot_checks: int = 64
    """Pages of each capture that the gate reads again with the checkpoint, to believe the predictions."""

    def __post_init__(self) -> None:
        check(self.spot_checks >= 1, "gate.spot_checks", "must be at least 1")


@dataclass(frozen=True)
class PackageParams:
    """The exported model."""

    parity: float = 1e-4
    """Largest difference of probabilities between the package and the eager model."""
    name: str = "vizecgnet"

    def __post_init__(self) -> None:
        refuse_name(self.name, "package.name")


@dataclass(frozen=True)
class RegisterParams:
    """The MLflow model registry."""

    name: str = "vizecgnet"

    def __post_init__(self) -> None:
        refuse_name(self.name, "register.name")


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
    workers: int = 2
    batch_size: int = 4
    max_batch_delay_ms: int = 1
    """Longest wait for a fuller batch; a page that comes alone waits all of it (docs/deploy.md: Measured)."""
    startup_timeout_s: int = 120
    parity: float = 1e-3
    """Largest difference between the served and the in-process probabilities of the smoke-test page."""
    watch_s: float = 60.0
    """For so long a version is watched after the switch, and taken back where it fails; 0: not at all."""

    def __post_init__(self) -> None:
        refuse_name(self.name, "deploy.name")
        check(0 <= self.watch_s < math.inf, "deploy.watch_s", "must be seconds, 0 or more")


@dataclass(frozen=True)
class MonitorParams:
    """What is served against what was measured: from where on a difference is drift."""

    captures: tuple[str, ...] = ()
    """Of the reference's test pages; empty: all."""
    least_pages: int = 50
    """Fewer are too few to say."""
    alpha: float = 0.01
    """How often chance alone may be called drift, over all findings."""
    psi: float = 0.25
    """Largest stability index of a finding's scores."""
    ks: float = 0.1
    """Largest distance of two distributions."""
    prevalence: float = 0.05
    """Largest change of the share of pages that a finding is called on."""
    confidence: float = 0.5
    """Least median confidence with which the grid is found."""
    refused: float = 0.05
    """Largest share of pages that cannot be read."""
    doubtful: float = 0.2
    """Largest share of pages read with a warning."""

    def __post_init__(self) -> None:
        check(self.least_pages >= 1, "monitor.least_pages", "must be at least 1")
        check(0 < self.alpha < 1, "monitor.alpha", "must lie between 0 and 1")


@dataclass(frozen=True)
class TrackingParams:
    """MLflow; `vizecg` lets MLFLOW_TRACKING_URI override the address."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "vizecgnet"
