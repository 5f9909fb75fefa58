"""CSV tables of sources, read a row at a time: one of a million rows takes no more memory than one of a hundred."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

Row = dict[str, str]


class Table:
    """A CSV file with a header line, every cell as text; it is read anew whenever it is gone through.

    Raises:
        ValueError: no such file, not UTF-8, or a missing column; while it is gone through also no rows, or a row of
            another length.
    """

    def __init__(self, path: Path, *, required: tuple[str, ...]):
        self.path = path
        with self._reader() as reader:
            header = next(reader, [])
        missing = [name for name in required if name not in header]
        if missing:
            raise ValueError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(required)}")

    def __iter__(self) -> Iterator[Row]:
        number = 1
        with self._reader() as reader:
            header = next(reader, [])
            for number, row in enumerate(reader, start=2):
                if len(row) != len(header):
                    raise ValueError(f"{self.path}: row {number} has another number of cells than the header")
                yield dict(zip(header, row, strict=True))
        if number == 1:
            raise ValueError(f"{self.path}: holds no rows below its header")

    @contextmanager
    def _reader(self) -> Iterator[Iterator[list[str]]]:
        """Open the file; yields its lines that hold anything."""
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                yield filter(None, csv.reader(file, strict=True))
        except FileNotFoundError:
            raise ValueError(f"{self.path}: no such file; is the folder of the data right (ingest.data)?") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.path}: cannot be read as CSV in UTF-8 ({error})") from None


def read_table(path: Path, *, required: tuple[str, ...]) -> list[Row]:
    """Read a small table whole; raises as `Table`."""
    return list(Table(path, required=required))


def once(rows: Iterable[Row], column: str, where: Path) -> Iterator[Row]:
    """Yield rows; raise ValueError when a record, which `column` names, stands in a second one."""
    seen: set[str] = set()
    for row in rows:
        if row[column] in seen:
            raise ValueError(f"{where}: record {row[column]!r} stands there twice; keep one of its rows")
        seen.add(row[column])
        yield row
