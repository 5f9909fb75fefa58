"""The pictures of a record store: pages as a hospital scanned them, one after the other in one file.

`pictures.bin` holds the files' bytes, `pictures.parquet` where each begins and how long it is, in the store's order.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

FILE, TABLE = "pictures.bin", "pictures.parquet"


def write_pictures(folder: Path, pictures: Iterable[tuple[str, bytes]]) -> str:
    """Write pictures, each with its record's name, into a store's folder; returns their digest."""
    digest, rows, begin = hashlib.sha256(), [], 0
    with open(folder / FILE, "wb") as file:
        for record, data in pictures:
            file.write(data)
            digest.update(data)
            rows.append((record, begin, len(data)))
            begin += len(data)
    pd.DataFrame(rows, columns=["record", "begin", "size"]).to_parquet(folder / TABLE, index=False)
    return digest.hexdigest()


def has_pictures(store: Path) -> bool:
    """Whether a record store holds pictures."""
    return (store / TABLE).exists()


class Pictures:
    """The pictures of an opened record store.

    Raises:
        ValueError: the store has none.
    """

    def __init__(self, store: Path):
        if not has_pictures(store):
            raise ValueError(f"{store}: the record store holds no pictures; the source image_folder brings them")
        self._file = store / FILE
        table = pd.read_parquet(store / TABLE)
        self._places = dict(zip(table["record"], zip(table["begin"], table["size"], strict=True), strict=True))

    def read(self, record: str) -> bytes:
        """Return the bytes of one record's picture file."""
        begin, size = self._places[record]
        with open(self._file, "rb") as file:
            file.seek(int(begin))
            return file.read(int(size))
