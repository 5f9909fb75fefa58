"""What ECG carts export: SCP-ECG (EN 1064, ISO 11073-91064) and HL7 annotated ECG (aECG XML), with a labels.csv.

Columns: `file` (path relative to the folder), `labels`, and those of `labels_table`; patient, age, sex and device are
taken from the file where the table leaves them empty. The files are decoded by ecgdatakit. Nothing else that it finds
in them is kept: names, birth dates, referring physicians and the cart's own statements stay out.
"""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from ecgdatakit.exceptions import ChecksumWarning
from ecgdatakit.models import ECGRecord, Lead
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

from ecg.leads import complete_leads
from ecg.records import BadRecord
from ecg.sources.labels_table import table_source
from ecg.sources.source import DERIVED, SEXES, Entry, Options, Source
from ecg.sources.wfdb_files import RATES, Signal, SignalError

SUFFIXES = (".scp", ".ecg", ".xml")
MAX_BYTES = 50_000_000
SNIFFED = 4096
"""Bytes by which a form is known."""
PARSERS = (SCPECGParser, HL7aECGParser)
MILLIVOLT_PER = {"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3}


def open_cart(folder: Path, options: Options) -> Source:
    """Open a folder of a cart's files; raises as `table_source`."""
    return table_source(folder, options, name="cart", column="file", suffixes=SUFFIXES, required=(),
                        finish=_complete, signal_of=read_export)


def read_export(entry: Entry) -> Signal:
    """Read an entry's file.

    Raises:
        SignalError: it is missing or damaged, or holds no twelve simultaneous leads.
    """
    record = _read(Path(entry.path))
    rate = _rate(record)
    if not RATES[0] <= rate <= RATES[1]:
        raise SignalError("sampling_rate", f"{rate:g} Hz lies outside {RATES[0]:g}-{RATES[1]:g} Hz")
    spans = {(len(lead.samples), lead.sampling_rate, lead.annotations.get("start_sample", "1"))
             for lead in record.leads}
    if len(spans) > 1:
        raise SignalError("wrong_leads", "the leads were not recorded at the same time")
    names = [lead.label for lead in record.leads]
    try:
        found, said = complete_leads(names, np.stack([_millivolt(lead) for lead in record.leads]))
    except ValueError:
        said = ("not in the record",)
    if any("not in the record" in sentence for sentence in said):
        raise SignalError("wrong_leads", f"the leads are {', '.join(names)}, not the twelve standard ones")
    return Signal(found, rate, (DERIVED,) if said else ())


def _complete(entry: Entry, _: dict[str, str]) -> Entry | BadRecord:
    """Fill what the table leaves empty from the file."""
    try:
        record = _read(Path(entry.path))
    except SignalError as error:
        return BadRecord(entry.record, error.reason, error.detail)
    patient, device = record.patient, record.recording.device
    model = " ".join((device.model or device.name or "").split())
    age = float("nan") if patient.age is None else float(patient.age)
    return replace(entry, patient=entry.patient or " ".join(patient.patient_id.split()),
                   age=age if np.isnan(entry.age) else entry.age,
                   sex=entry.sex or SEXES.get(patient.sex.upper(), ""), device=entry.device or model)


def _read(path: Path) -> ECGRecord:
    """Decode a file with whichever parser knows it.

    Raises:
        SignalError: it is missing, too large, of neither form, or damaged.
    """
    if not os.path.isfile(path):
        raise SignalError("missing_file", f"{path.name} is not there")
    if path.stat().st_size > MAX_BYTES:
        raise SignalError("unreadable_signal", f"{path.name}: more than {MAX_BYTES // 1_000_000} MB")
    try:
        with open(path, "rb") as file:
            head = file.read(SNIFFED)
        parser = next((parser for parser in PARSERS if parser.can_parse(path, head)), None)
        if parser is None:
            raise ValueError("neither SCP-ECG nor HL7 aECG")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = parser().parse(path)
    except Exception as error:  # the parsers raise whatever they meet
        detail = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise SignalError("unreadable_signal", f"{path.name}: {detail}") from None
    if any(issubclass(warning.category, ChecksumWarning) for warning in caught):
        raise SignalError("checksum", f"{path.name}: a checksum (CRC) does not agree with the content")
    if not record.leads:
        raise SignalError("wrong_leads", f"{path.name} holds no leads")
    return record


def _rate(record: ECGRecord) -> float:
    """The sampling rate as the file states it; the parsers round it."""
    found = record.raw_metadata
    if interval := found.get("rhythm_sample_interval_us"):
        return 1e6 / interval
    return float(found.get("rhythm_time", {}).get("sampling_rate_exact", record.leads[0].sampling_rate))


def _millivolt(lead: Lead) -> np.ndarray:
    if lead.resolution_unit not in MILLIVOLT_PER:
        raise SignalError("unit", f"lead {lead.label} states {lead.resolution_unit or 'no unit'}, no voltage")
    return (lead.samples * lead.resolution + lead.offset) * MILLIVOLT_PER[lead.resolution_unit]
