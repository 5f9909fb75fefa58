"""What every source gives: a list of entries, and how each is read into a record."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecg.records import BadRecord, RawRecord
from ecg.sources.wfdb_files import SignalError, read_signal


@dataclass(frozen=True)
class Entry:
    """One line of a source's table: everything about a record but its signal.

    `path` is the record's file without suffix; the other fields are those of `RawRecord`.
    """

    record: str
    path: Path
    patient: str
    labels: tuple[str, ...]
    age: float = float("nan")
    sex: str = ""
    device: str = ""
    fold: int = 0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """An opened source. Iterating reads the signals one by one, in the order of the table.

    `entries` holds a `BadRecord` where the table's own line cannot be used. `unknown_labels` counts the
    statements that the label scheme does not know or keep, `unlabelled` the records that were left out for
    want of any label.
    """

    name: str
    label_names: tuple[str, ...]
    entries: tuple[Entry | BadRecord, ...]
    unknown_labels: dict[str, int] = field(default_factory=dict)
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[RawRecord | BadRecord]:
        return (self.read(entry) for entry in self.entries)

    def read(self, entry: Entry | BadRecord) -> RawRecord | BadRecord:
        """Read one entry's signal; whatever is wrong with its files comes back as a `BadRecord`."""
        if isinstance(entry, BadRecord):
            return entry
        try:
            signal = read_signal(entry.path)
        except SignalError as error:
            return BadRecord(entry.record, error.reason, error.detail)
        return RawRecord(entry.record, entry.patient, self.name, signal.sampling_rate, signal.millivolt, entry.labels,
                         entry.age, entry.sex, entry.device, entry.fold, entry.flags)

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
