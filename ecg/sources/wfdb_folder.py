"""Any folder of WFDB records with a labels.csv.

Columns: `record` (path without suffix, relative to the folder), `patient`, `labels`, and those of `labels_table`.
"""

from pathlib import Path

from ecg.sources.labels_table import table_source
from ecg.sources.source import Options, Source


def open_folder(folder: Path, options: Options) -> Source:
    """Open a folder of WFDB records; raises as `table_source`."""
    return table_source(folder, options, name="wfdb_folder", column="record")


def open_simulated(folder: Path, options: Options) -> Source:
    """Open what `vizecg simulate` wrote; raises as `table_source`."""
    return table_source(folder, options, name="simulated", column="record")
