"""What some sources bring beside signals: pictures of the pages, and reports' free text where it was asked for."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from components.progress import track
from ecg.paper.strip import strip_metadata
from ecg.pictures import write_pictures
from ecg.sources.source import Entry, Source
from model.params import IngestParams

REPORTS = "reports.parquet"


def write_extras(folder: Path, source: Source, records: Iterable[str], params: IngestParams) -> dict:
    """Write pictures and reports of the store's records, in its order, into its folder.

    Returns:
        What store.json says of them: `pictures`, their digest, `reports`, how many records have one, and `absent`,
        the records of each file that the source lacks.
    """
    records = list(records)
    entry_of = {entry.record: entry for entry in source.entries if isinstance(entry, Entry)}
    said: dict = {"absent": source.absent} if source.absent else {}
    if any(entry.picture for entry in entry_of.values()):
        said["pictures"] = write_pictures(folder, _pictures([entry_of[record] for record in records]))
    if params.reports:
        table = pd.DataFrame({"record": records, "report": [entry_of[record].report for record in records]}, dtype=str)
        table.to_parquet(folder / REPORTS, index=False)
        said["reports"] = int((table["report"] != "").sum())
    return said


def _pictures(entries: list[Entry]) -> Iterator[tuple[str, bytes]]:
    for entry in track(entries, total=len(entries), label="ingest: pictures"):
        assert entry.picture
        yield entry.record, strip_metadata(entry.picture.read_bytes(), entry.record)
