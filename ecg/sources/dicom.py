"""ECG waveforms of a DICOM archive (12-Lead and General ECG Waveform Storage, PS3.3 A.34), with a labels.csv.

Columns: `file` (path relative to the folder), `labels`, and those of `labels_table`; patient, age, sex and device are
taken from the file where the table leaves them empty. No other element of a file is read: names, birth dates, UIDs and
the interpretation stay out.
"""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.config import IGNORE, settings
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.waveforms.numpy_handler import multiplex_array

from ecg.leads import LEADS, complete_leads, lead_index
from ecg.records import BadRecord
from ecg.sources.labels_table import table_source
from ecg.sources.source import DERIVED, Entry, Options, Source
from ecg.sources.wfdb_files import RATES, Signal, SignalError

SUFFIXES = (".dcm", ".dicom")
MAX_BYTES = 200_000_000
CODED = {scheme: dict(zip(codes, ("I", "II", *LEADS[6:], *LEADS[2:6]), strict=True)) for scheme, codes in {
    "MDC": [f"2:{n}" for n in (*range(1, 9), *range(61, 65))],
    "SCPECG": [f"5.6.3-9-{n}" for n in (*range(1, 9), *range(61, 65))]}.items()}
"""Lead names by the codes of a channel's source: ISO/IEEE 11073 and, before 2008, SCP-ECG (PS3.16 CID 3001)."""
MILLIVOLT_PER = {"uV": 1e-3, "mV": 1.0, "V": 1e3, "nV": 1e-6}
"""Of UCUM's units, whose letters' case counts."""
PLAIN = ("SS", "US", "SL", "UL", "SB", "UB")
"""Whole numbers; the others are companded sound."""
_HEAD = ("PatientID", "PatientAge", "PatientSex", "ManufacturerModelName")


@dataclass(frozen=True)
class Group:
    """Channels that were taken together: `millivolt` (channels, T), NaN where a sample is padding."""

    names: list[str]
    millivolt: np.ndarray
    rate: float
    start: float
    """Seconds after the recording's begin."""


def open_dicom(folder: Path, options: Options) -> Source:
    """Open a folder of DICOM files; raises as `table_source`."""
    return table_source(folder, options, name="dicom", column="file", suffixes=SUFFIXES, required=(),
                        finish=_complete, signal_of=read_waveform)


def read_waveform(entry: Entry) -> Signal:
    """Read an entry's file.

    Raises:
        SignalError: it is missing or damaged, or holds no twelve simultaneous leads.
    """
    data = _read(Path(entry.path), None)
    try:
        with warnings.catch_warnings(action="ignore"):
            groups = [group for group in _groups(data) if group.names]
    except SignalError:
        raise
    except Exception as error:  # pydicom raises AttributeError, KeyError, ValueError and others on damage
        raise _damaged(Path(entry.path), error) from None
    return _twelve(groups)


def _complete(entry: Entry, _: dict[str, str]) -> Entry | BadRecord:
    """Fill what the table leaves empty from the file's head."""
    try:
        head = _read(Path(entry.path), _HEAD)
        with warnings.catch_warnings(action="ignore"):
            patient, text, sex, device = (" ".join(str(head.get(name) or "").split()) for name in _HEAD)
    except SignalError as error:
        return BadRecord(entry.record, error.reason, error.detail)
    except Exception as error:
        found = _damaged(Path(entry.path), error)
        return BadRecord(entry.record, found.reason, found.detail)
    age, sex = _age(text), sex.upper()
    return replace(entry, patient=entry.patient or patient, age=age if np.isnan(entry.age) else entry.age,
                   sex=entry.sex or (sex if sex in ("F", "M") else ""), device=entry.device or device)


def _read(path: Path, tags: tuple[str, ...] | None) -> Dataset:
    """Read a file, or only some of its elements."""
    if not os.path.isfile(path):  # the Path's own raises on a name too long for any file
        raise SignalError("missing_file", f"{path.name} is not there")
    if path.stat().st_size > MAX_BYTES:
        raise SignalError("unreadable_signal", f"{path.name}: more than {MAX_BYTES // 1_000_000} MB")
    # Carts write longer values than the standard allows; a warning would print them.
    settings.reading_validation_mode = IGNORE
    try:
        with warnings.catch_warnings(action="ignore"):
            if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                raise ValueError("deflated, which may unpack to any size; store it uncompressed")
            return pydicom.dcmread(path, specific_tags=None if tags is None else list(tags))
    except Exception as error:  # pydicom raises whatever its parsing meets
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> SignalError:
    return SignalError("unreadable_signal", f"{path.name}: {' '.join(str(error).split()) or type(error).__name__}")


def _age(text: str) -> float:
    """Read an age string, "056Y" or "008M", in years; NaN for anything else."""
    number, unit = text.strip()[:-1], text.strip()[-1:].upper()
    years = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}.get(unit)
    return int(number) * years if years and number.isdecimal() else float("nan")


def _groups(data: Dataset) -> Iterable[Group]:
    """Yield the groups of recorded channels; derived ones, such as median beats, are left out."""
    sequence = data.get("WaveformSequence")
    if not sequence:
        raise SignalError("unreadable_signal", "the file holds no waveform")
    for number, item in enumerate(sequence):
        if str(item.get("WaveformOriginality", "ORIGINAL")).strip().upper() == "DERIVED":
            continue
        if item.WaveformSampleInterpretation not in PLAIN:
            raise SignalError("unreadable_signal", f"samples are {item.WaveformSampleInterpretation}, none of "
                                                   f"{', '.join(PLAIN)}")
        channels = list(item.ChannelDefinitionSequence)
        raw = multiplex_array(data, number, as_raw=True)
        if len(channels) != raw.shape[1]:
            raise SignalError("unreadable_signal", f"{len(channels)} channels are described, {raw.shape[1]} recorded")
        leads = [_lead(channel) for channel in channels]
        known = [i for i, lead in enumerate(leads) if lead]
        values = np.stack([_millivolt(raw[:, i], channels[i], item) for i in known]) if known else np.empty((0, 0))
        yield Group([leads[i] for i in known], values, float(item.SamplingFrequency),
                    float(item.get("MultiplexGroupTimeOffset", 0) or 0) / 1000)


def _lead(channel: Dataset) -> str:
    """Name a channel after its source's code, or else after the code's meaning or the channel's label; "" if none."""
    source = channel.ChannelSourceSequence[0] if channel.get("ChannelSourceSequence") else Dataset()
    coded = CODED.get(str(source.get("CodingSchemeDesignator", "")).strip(), {})
    value = str(source.get("CodeValue", "")).strip()
    if value in coded:
        return coded[value]
    for text in (value.removeprefix("MDC_ECG_LEAD_"), str(source.get("CodeMeaning", "")),
                 str(channel.get("ChannelLabel", ""))):
        word = text.split("(")[0].split(",")[0].strip()
        try:
            return LEADS[lead_index(word[5:] if word.lower().startswith("lead ") else word)]
        except ValueError:
            continue
    return ""


def _millivolt(raw: np.ndarray, channel: Dataset, item: Dataset) -> np.ndarray:
    """Scale a channel's samples (PS3.3 C.10.9.1.4): value = sample x sensitivity x correction + baseline, in its unit.

    Raises:
        SignalError: the channel states no sensitivity, or none in volts.
    """
    if channel.get("ChannelSensitivity") is None or not channel.get("ChannelSensitivityUnitsSequence"):
        raise SignalError("unit", "a channel states no sensitivity")
    unit = str(channel.ChannelSensitivityUnitsSequence[0].get("CodeValue", "")).strip()
    if unit not in MILLIVOLT_PER:
        raise SignalError("unit", f"the unit {unit!r} is none of {', '.join(MILLIVOLT_PER)}")
    scale = float(channel.ChannelSensitivity) * float(channel.get("ChannelSensitivityCorrectionFactor", 1) or 1)
    values = (raw * scale + float(channel.get("ChannelBaseline", 0) or 0)) * MILLIVOLT_PER[unit]
    padding = item.get("WaveformPaddingValue")
    if padding is not None:
        values[raw == _sample(padding, raw.dtype)] = np.nan
    return values


def _sample(value: object, dtype: np.dtype) -> int:
    """Read a padding value, which stands as bytes where its type hangs on the samples'."""
    return int(np.frombuffer(value[:dtype.itemsize], dtype)[0]) if isinstance(value, bytes) else int(value)


def _twelve(groups: list[Group]) -> Signal:
    """Join what was recorded at the same time; the longest such part with all twelve leads is the record.

    Raises:
        SignalError: there is none, or its rate is not one of an ECG.
    """
    together: dict[tuple[float, float, int], list[Group]] = {}
    for group in groups:
        together.setdefault((group.start, group.rate, group.millivolt.shape[1]), []).append(group)
    for (_, rate, _), part in sorted(together.items(), key=lambda item: -item[0][2]):
        if not RATES[0] <= rate <= RATES[1]:
            raise SignalError("sampling_rate", f"{rate:g} Hz lies outside {RATES[0]:g}-{RATES[1]:g} Hz")
        names = [name for group in part for name in group.names]
        try:
            found, said = complete_leads(names, np.concatenate([group.millivolt for group in part]))
        except ValueError:
            continue
        if not any("not in the record" in sentence for sentence in said):
            return Signal(found, rate, (DERIVED,) if said else ())
    seen = dict.fromkeys(name for group in groups for name in group.names)
    raise SignalError("wrong_leads", f"the leads are {', '.join(seen) or 'none of the twelve'}, not the twelve "
                                     "standard ones recorded at once")
