"""What every source gives: a list of entries, and how each is read into a record."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

from ecg.records import BadRecord, RawRecord
from ecg.sources.wfdb_files import Signal, SignalError, read_signal

SEXES = {"": "", "U": "", "UNKNOWN": "", "NAN": "", "F": "F", "FEMALE": "F", "M": "M", "MALE": "M"}
"""How tables write a sex, in capitals."""
DERIVED = "derived_leads"
"""Flag of a record whose limb leads were computed from two others."""


@dataclass(frozen=True)
class Options:
    """What is wanted of a source: findings (empty: all), which files and set of findings, and reports' free text."""

    labels: tuple[str, ...] = ()
    rate: int = 100
    label_set: str = ""
    reports: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a source's table: everything about a record but its signal.

    `path` is the record's file, without suffix where a record has several, as text where there are many: a `Path`
    takes ten times the room and time. `row` is its place in a file of many, `source` the part of an archive of many,
    `picture` the page as it was scanned, `report` free text that was asked for. The other fields are those of
    `RawRecord`.
    """

    record: str
    path: Path | str
    patient: str
    labels: tuple[str, ...]
    age: float = float("nan")
    sex: str = ""
    device: str = ""
    fold: int = 0
    flags: tuple[str, ...] = ()
    row: int = 0
    source: str = ""
    picture: Path | None = None
    report: str = ""

    def __reduce__(self) -> tuple:
        """Go to another process as a call of the class: half the time of what dataclasses do."""
        return Entry, _values(self)


_values = attrgetter(*Entry.__slots__)


def read_files(entry: Entry) -> Signal:
    """Read the WFDB record of an entry."""
    return read_signal(entry.path)


@dataclass(frozen=True)
class Source:
    """An opened source. Iterating reads the signals one by one, in the order of the table.

    `entries` holds a `BadRecord` where the table's own line cannot be used. `unknown_labels` counts the
    statements that the label scheme does not know or keep, `unlabelled` the records that were left out for
    want of any label, `absent` those of each file of many that is not in the folder. `signal_of` reads an entry's
    signal; it is a function of a module, so that another process can read too.
    """

    name: str
    label_names: tuple[str, ...]
    entries: tuple[Entry | BadRecord, ...]
    unknown_labels: dict[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    absent: dict[str, int] = field(default_factory=dict)
    signal_of: Callable[[Entry], Signal] = read_files

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def direct(self) -> bool:
        """Whether the entries are WFDB records, which `read_microvolt` may read."""
        return self.signal_of is read_files

    def __iter__(self) -> Iterator[RawRecord | BadRecord]:
        return (self.read(entry) for entry in self.entries)

    def read(self, entry: Entry | BadRecord) -> RawRecord | BadRecord:
        """Read one entry's signal; whatever is wrong with its files comes back as a `BadRecord`."""
        if isinstance(entry, BadRecord):
            return entry
        try:
            signal = self.signal_of(entry)
        except SignalError as error:
            return BadRecord(entry.record, error.reason, error.detail)
        return RawRecord(entry.record, entry.patient, entry.source or self.name, signal.sampling_rate,
                         signal.millivolt, entry.labels, entry.age, entry.sex, entry.device, entry.fold,
                         (*entry.flags, *signal.flags))

    def subset(self, entries: list[Entry | BadRecord]) -> "Source":
        """Return the same source with other entries."""
        return replace(self, entries=tuple(entries))


def refuse_repeated(records: list[str], where: Path) -> None:
    """Raise ValueError when a record stands twice in a source's table."""
    seen: set[str] = set()
    for record in records:
        if record in seen:
            raise ValueError(f"{where}: record {record!r} stands there twice; keep one of its rows")
        seen.add(record)


def below(path: str) -> str | None:
    """Return a table's path when it stays below the folder, None for one that leads elsewhere."""
    parts = path.split("/")
    stays = parts[0] and ".." not in parts and parts[-1] not in ("", ".")
    return path if stays else None


def age_of(cell: str) -> float:
    """Read an age in years: NaN for an empty cell; ValueError for words."""
    return float(cell.strip() or "nan")
