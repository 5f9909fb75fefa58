"""The sections of params.yaml on learning: model and train."""

from dataclasses import dataclass, replace
from typing import Literal

from ecg.paper.layout import LAYOUTS
from model.typed import check


@dataclass(frozen=True)
class ModelParams:
    """The network; every part has a switch."""

    architecture: Literal["vizecgnet", "resnet1d_wang", "xresnet1d101", "inceptiontime", "vit1d", "s4d",
                          "resnet2d", "efficientnet2d", "convnext2d", "late_fusion"] = "vizecgnet"
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
    smam_place: Literal["tokens", "third_stage"] = "tokens"
    """Where SMAM looks: at the tokens after the last stage, or at the finer features of the stage before it."""
    cmam_place: Literal["after_smam", "before_smam"] = "after_smam"
    """Which tokens CMAM compares: those that SMAM has been through, or those that go through it afterwards."""
    lead_positions: bool = False
    """Tell SMAM which lead and which second each part of the page shows. For pages of the page's own layout alone."""
    views: int = 1
    """Shifted copies of a page whose probabilities a reading averages, 1-5; each costs a reading's time."""
    digitiser: bool = False
    """A head that reads the twelve signals off the page, in training only; `train.lambda_trace` weighs its loss."""
    signal_stream: bool = True
    """Off: the image stream trains alone, without CMAM and distillation."""
    smam: bool = True
    cmam: bool = True

    def __post_init__(self) -> None:
        for stream in ("image", "signal"):
            widths, depths = getattr(self, f"{stream}_widths"), getattr(self, f"{stream}_depths")
            check(len(widths) == len(depths) == 4, f"model.{stream}_widths/depths", "must have four stages each")
            check(min(*widths, *depths) >= 1, f"model.{stream}_widths/depths", "must be numbers from 1")
        check(len(self.pool_grid) == 2 and min(self.pool_grid) >= 1, "model.pool_grid", "must be two numbers from 1")
        check(self.signal_crop >= 0, "model.signal_crop", "must be 0 or a number of samples")
        check(1 <= self.views <= 5, "model.views", "must lie in 1-5")
        check(self.heads >= 1, "model.heads", "must be at least 1")
        check(self.signal_kernel >= 1 and self.signal_kernel % 2 == 1, "model.signal_kernel", "must be odd")
        check(self.token_dim % self.heads == 0, "model.token_dim", "must be a multiple of model.heads")
        if self.smam_place == "third_stage":
            for stream in ("image", "signal"):
                check(getattr(self, f"{stream}_widths")[2] % self.heads == 0, "model.smam_place",
                      f"third_stage needs a third of model.{stream}_widths that is a multiple of model.heads")
            check(self.cmam_place == "after_smam", "model.cmam_place",
                  "before_smam needs model.smam_place tokens: at the third stage SMAM always comes first")
        check(not self.cmam or self.signal_stream, "model.cmam", "needs model.signal_stream")


@dataclass(frozen=True)
class TrainParams:
    """The optimisation."""

    epochs: int = 20
    pretrain: int = 0
    """Epochs before these in which the image stream learns to read the signals off masked pages; no label counts."""
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises; a cosine takes it to zero after."""
    processes: int = 1
    """Processes of this machine that train together, one for each GPU; torchrun overrides it."""
    accumulate: int = 1
    """Pieces in which each process works through its part of a batch; their gradients are summed."""
    grad_clip: float = 1.0
    ema: float = 0.998
    """Decay of the averaged weights that are evaluated and shipped; 0: none."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the device has matrix units for it, else fp32."""
    lambda_cls: float = 1.0
    lambda_kd: float = 1.0
    temperature: float = 2.0
    teachers: tuple[str, ...] = ()
    """Folders of checkpoints, of any architecture, whose mean probability the image stream learns from as well; they
    may know more findings than are trained."""
    ask_teachers: Literal["once", "each"] = "once"
    """once: what they say of each record as it is. each: of each signal as it is drawn, varied and blended, so that
    teacher and pupil always look at the same heart (Beyer et al. 2022); for teachers that read signals."""
    kd_mutual: bool = False
    """Let the signal stream learn from the image stream too."""
    lambda_align: float = 0.0
    """Weight of the contrast between matching and other pairs of page and signal."""
    lambda_attention: float = 0.0
    """Weight of how differently the two streams weigh the seconds of a record."""
    lambda_trace: float = 0.0
    """Weight of the digitiser's error."""
    loss: Literal["bce", "focal", "asymmetric"] = "bce"
    """The classification loss."""
    mixup: float = 0.0
    """Share of the training records that are drawn as a blend of two, signals and findings alike."""
    mask: float = 0.0
    """Share of a training page's patches that are blanked; for pretraining without labels, with `lambda_cls` 0."""
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
    """Threads that render pages ahead of the step, for a GPU processes; 0: rendered in the loop."""
    shuffle_labels: bool = False
    """The control experiment: labels permuted among the training records."""
    checkpoint_every: int = 1
    """Epochs between saved states of the whole training."""
    save_minutes: float = 10.0
    """Minutes between saved states within an epoch; 0: none."""
    save_steps: int = 0
    """Steps between saved states; 0: none."""
    patience: int = 0
    """Epochs without a better validation AUROC after which the training ends; 0: never."""
    sampling: Literal["uniform", "patient", "balanced"] = "uniform"
    """Every record once an epoch; one record of each patient; or records with rare findings more often."""
    compile: bool = False
    """Compile the step; where the compiler fails, the training says so and goes on without."""
    deterministic: bool = False
    """Refuse operations whose result varies from run to run."""
    profile: int = 0
    """Steps that the profiler records into the checkpoint's trace.json.gz; 0: none."""
    nodes: int = 1
    """Machines that train together; above 1 they are pods of a Kubeflow TrainJob, each with `processes`."""
    shared: str = ""
    """Folder or s3://BUCKET/PREFIX that all pods reach: states to resume from, and what a TrainJob reads and leaves."""
    image: str = ""
    """Image of a TrainJob's nodes; empty: that of the pod which creates it."""
    runtime: str = "torch-distributed"
    """ClusterTrainingRuntime of a TrainJob."""
    accelerator: str = ""
    """Resource of which each process of a TrainJob gets one, such as nvidia.com/gpu; empty: none."""
    secret: str = ""
    """Kubernetes Secret with the nodes' keys to the bucket and to MLflow; empty: none."""

    def alone(self) -> "TrainParams":
        """Return the same training without what other checkpoints bring to it."""
        return replace(self, teachers=(), ask_teachers="once", start_from="")

    def __post_init__(self) -> None:
        check(self.epochs >= 1, "train.epochs", "must be at least 1")
        check(self.pretrain >= 0, "train.pretrain", "must be 0 or a number of epochs")
        check(self.batch_size >= 2, "train.batch_size", "must be at least 2")
        for name in ("processes", "accumulate", "nodes"):
            check(getattr(self, name) >= 1, f"train.{name}", "must be at least 1")
        check(min(self.save_minutes, self.save_steps, self.patience) >= 0, "train.save_*/patience", "must be 0 or more")
        check(self.profile >= 0, "train.profile", "must be 0 or a number of steps")
        check(self.nodes == 1 or bool(self.shared), "train.shared",
              "must name a folder or s3://BUCKET/PREFIX that all nodes reach")
        check(self.checkpoint_every >= 1, "train.checkpoint_every", "must be at least 1")
        check(0 <= self.warmup < 1, "train.warmup", "is a share of the steps: must lie in 0-1, 1 excluded")
        check(self.temperature > 0, "train.temperature", "must be positive")
        check(not self.shuffle_labels or not (self.teachers or self.start_from), "train.shuffle_labels",
              "is no control beside models that learnt the true labels; set train.teachers=[] and train.start_from=''")
        check(self.ask_teachers == "once" or bool(self.teachers), "train.ask_teachers", "each needs train.teachers")
        check(0 <= self.ema < 1, "train.ema", "must lie in 0-1, 1 excluded")
        for name in self.layouts:
            check(name in LAYOUTS, "train.layouts", f"unknown layout {name!r}; known are {', '.join(LAYOUTS)}")
        check(0 <= self.wear <= 2, "train.wear", "must lie in 0-2")
        check(0 <= self.mask < 1, "train.mask", "must lie in 0-1, 1 excluded")
        for name in ("mixup", "any_second"):
            check(0 <= getattr(self, name) <= 1, f"train.{name}", "must lie in 0-1")
        check(0 < self.page_scale_start <= 1, "train.page_scale_start", "must lie in 0-1, 0 excluded")
