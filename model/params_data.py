"""The sections of params.yaml on data: ingest, validate, page, render."""

from dataclasses import dataclass, field
from typing import Literal

from ecg.paper.layout import LAYOUTS, MARGIN_MM
from model.typed import check

SALT_VARIABLE = "VIZECG_ID_SALT"
"""Of the environment: the salt of `ingest.hash_ids`. A secret stands in no file and no command."""


@dataclass(frozen=True)
class FetchParams:
    """How data in a bucket, `s3://BUCKET/PREFIX`, is brought here."""

    folder: str = "local/fetched"
    """Below it the data comes to lie as BUCKET/PREFIX."""
    include: tuple[str, ...] = ()
    """Patterns of what is wanted, such as `records100/*`; empty: what the source needs."""
    sign: Literal["auto", "always", "never"] = "auto"
    """never: ask without keys, as open buckets want; auto: so where no keys are found."""
    profile: str = ""
    """Of ~/.aws/config; empty: AWS_PROFILE, or the usual one."""
    endpoint: str = ""
    """Address of MinIO or Ceph; empty: AWS_ENDPOINT_URL, or AWS."""
    workers: int = 8
    """Parts that come at the same time."""
    part_mb: int = 8
    """MiB that are asked for at once, and that a kill costs at most."""
    attempts: int = 8
    """Tries in a row without any progress after which it is given up."""
    timeout_s: float = 60.0
    """Without a byte after which an answer counts as lost."""

    def __post_init__(self) -> None:
        check(1 <= self.workers <= 64, "ingest.fetch.workers", "must lie in 1-64")
        check(self.part_mb >= 1 and self.attempts >= 1, "ingest.fetch.part_mb/attempts", "must be at least 1")
        check(self.timeout_s > 0, "ingest.fetch.timeout_s", "must be positive")


@dataclass(frozen=True)
class IngestParams:
    """Where the records come from and how they enter the store."""

    source: Literal["simulated", "wfdb_folder", "ptbxl", "cinc", "code15", "sph", "dicom", "cart",
                    "image_folder"] = "simulated"
    data: str = "data/simulated"
    """Folder of the source, relative to the place the command is called from; or `s3://BUCKET/PREFIX`."""
    labels: tuple[str, ...] = ()
    """Findings to keep, in this order; empty: the source's own list."""
    label_set: Literal["default", "superclass", "subclass", "diagnostic", "form", "rhythm", "all", "levels",
                       "scored", "cpsc2018"] = "default"
    """Which of the source's sets of findings. PTB-XL: superclass, subclass, diagnostic, form, rhythm or all, as in its
    benchmark (Strodthoff et al. 2021), or levels: superclasses, subclasses, forms and rhythms together; CinC: scored
    (the challenge of 2021), cpsc2018 or all; `default`: the first."""
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
    hash_ids: bool = False
    """Put pseudonyms in the place of records' and patients' names; VIZECG_ID_SALT of the environment is their salt."""
    reports: bool = False
    """Take reports' free text along, as reports.parquet beside the records."""
    fetch: FetchParams = field(default_factory=FetchParams)
    workers: int = 0
    """Processes that read; 0: one for each core. The store does not depend on it."""
    def __post_init__(self) -> None:
        check(0 <= self.workers <= 256, "ingest.workers", "must lie in 0-256")
        folds = self.train_folds + self.validate_folds + self.test_folds
        check(len(folds) == len(set(folds)), "ingest.*_folds", "a fold stands in two splits")
        check(0 <= self.max_quarantined <= 1, "ingest.max_quarantined", "must lie in 0-1")


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
    exclusive: tuple[tuple[str, ...], ...] = ()
    """Groups of findings of which a record has one at most; those that the store does not know are left aside."""
    max_exclusive_share: float = 0.002
    """Share of records that may have two of them all the same."""
    max_noise_uv: float = 100.0
    """Standard deviation of what changes from sample to sample, in the worst lead."""
    max_baseline_uv: float = 3000.0
    """Between the least and the greatest mean over a second, in the worst lead."""
    max_flat_stretch_s: float = 1.0
    """Longest time without change of a lead that is not flat."""
    max_reversed_share: float = 0.02
    """Share of records that may show signs of interchanged electrodes."""
    min_quality: float = 0.7
    """Score of a recording, as the CinC Challenge 2011 counted acceptable ones."""
    max_psi: float = 0.25
    """Population stability index of a field against a reference store; by its users' custom more is a shift."""
    max_ks: float = 0.15
    """Greatest distance between a field's distribution and the reference's."""


@dataclass(frozen=True)
class PageParams:
    """The canonical page: what the model reads."""

    layout: str = "3x4+1R"
    height: int = 192
    width: int = 384
    px_per_mm: float = 1.5

    def __post_init__(self) -> None:
        check(self.height % 32 == 0 and self.width % 32 == 0, "page.height/width", "must be multiples of 32")
        check(0.5 <= self.px_per_mm <= 20, "page.px_per_mm", "must lie in 0.5-20")
        check(self.layout in LAYOUTS, "page.layout", f"unknown layout {self.layout!r}; known are {', '.join(LAYOUTS)}")
        needed = self.px_per_mm * (LAYOUTS[self.layout].width_mm + MARGIN_MM)
        check(self.width >= needed, "page.width", f"must be at least {needed:g} for {self.px_per_mm:g} pixels a "
              "millimetre: traces would be cut")


CAPTURES = ("clean", "scan", "photo", "screen", "fax", "photocopy", "own")
"""Those of `ecg.paper.capture`, which takes long to import, and `own`: the record's own picture."""


@dataclass(frozen=True)
class RenderParams:
    """The frozen evaluation pages."""

    captures: tuple[str, ...] = ("clean",)
    """How each set of pages was taken: `clean` as the model reads them; scan, photo, screen, fax or photocopy printed,
    captured and located; own: the pictures of an image_folder, located. `photo@6x2` has that layout instead of the
    page's own."""
    splits: tuple[Literal["train", "validate", "test"], ...] = ("validate", "test")
    contact_sheet: int = 12
    """Pages on the contact sheet."""
    samples: int = 4
    """Full-size colour pages of the test split written as PNG, to look at and to try `vizecg predict` on."""
    sample_dpi: int = 200

    def __post_init__(self) -> None:
        for view in self.captures:
            kind, _, name = view.partition("@")
            check(kind in CAPTURES, "render.captures", f"{kind!r} is none of {', '.join(CAPTURES)}")
            check(not name or name in LAYOUTS, "render.captures", f"unknown layout {name!r}; known are "
                   f"{', '.join(LAYOUTS)}")
