"""Read one 12-lead WFDB record, its header's checksums verified.

Most archives hold one file of interleaved 16-bit samples a record. Those are decoded here with one
numpy call, some fifteen times faster than the wfdb package; everything else goes through wfdb. Both ways
give the same values (a test compares them).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg.leads import LEADS, complete_leads, lead_order

MILLIVOLT_PER = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3, "nv": 1e-6}
RATES = (50.0, 20000.0)
"""Sampling rates, in Hz, that a diagnostic ECG can have; below, the QRS complex is not in it."""
DRAWN_RATES = (10.0, 20000.0)
"""Sampling rates that are drawn when somebody asks for a picture."""
FORMATS = {"16": (16, 2), "24": (24, 3), "32": (32, 4), "61": (16, 2), "80": (8, 1), "160": (16, 2), "212": (12, 1.5),
           "310": (10, 4 / 3), "311": (10, 4 / 3), "508": (8, 0), "516": (16, 0), "524": (24, 0)}
"""Bits and bytes of a sample in each WFDB format; 0 bytes where they are compressed. The least value of so many
bits stands for a missing sample."""

_RECORD = re.compile(r"(\S+)\s+12\s+(\d+(?:\.\d+)?)\s+(\d{1,12})(?:\s.*)?")
_SIGNAL = re.compile(r"([\w.-]+)\s+16\s+(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\((-?\d{1,9})\)/(\S+)\s+\d+\s+-?\d+\s+-?\d+"
                     r"\s+(-?\d+)\s+0\s+(\S.*)")


class SignalError(Exception):
    """A record whose signal cannot be used: `reason` is one of `ecg.quality.REASONS`, `detail` a sentence."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Signal:
    """`millivolt` is float32, shape (12, T), leads ordered as `LEADS`, NaN where a sample is missing."""

    millivolt: np.ndarray
    sampling_rate: float


@dataclass(frozen=True)
class Channels:
    """What either decoder finds: `digital` int (T, 12), and each channel's header fields."""

    digital: np.ndarray
    missing: np.ndarray
    """Value that stands for a missing sample, one a channel."""
    sampling_rate: float
    names: list[str]
    gains: np.ndarray
    baselines: np.ndarray
    units: list[str]
    checksums: list[int]


def read_signal(path: Path) -> Signal:
    """Read the record at `path` (without suffix).

    Raises:
        SignalError: the files are missing or damaged, or are no 12-lead ECG.
    """
    header = _read_header(path)
    channels = decode_plain(path, header)
    if channels is None:
        channels = decode_any(path)
    return _to_signal(channels)


def read_leads(path: Path) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Read the record at `path` (without suffix) whichever of the twelve leads it has.

    Returns:
        float32 (12, T) in millivolt, NaN where nothing was recorded; the sampling rate; and sentences on leads that
        were derived or are absent.

    Raises:
        SignalError: the files are missing or damaged, or hold none of the twelve leads.
    """
    channels = decode_plain(path, _read_header(path)) or decode_any(path, twelve=False)
    try:
        millivolt, notes = complete_leads(channels.names, _millivolt(channels, DRAWN_RATES).T)
    except ValueError as error:
        raise SignalError("wrong_leads", str(error)) from None
    return millivolt, channels.sampling_rate, notes


def decode_plain(path: Path, header: str) -> Channels | None:
    """Decode a record of twelve interleaved 16-bit channels in one file, or return None for any other kind.

    Raises:
        SignalError: the signal file is missing or too short.
    """
    lines = [line for line in header.splitlines() if line and not line.startswith("#")]
    record = _RECORD.fullmatch(lines[0].strip()) if lines else None
    rows = [row for row in (_SIGNAL.fullmatch(line.strip()) for line in lines[1:]) if row]
    if record is None or not len(rows) == len(lines) - 1 == len(LEADS) or len({row[1] for row in rows}) != 1:
        return None
    gains = np.array([float(row[2]) for row in rows])
    if not gains.all():
        return None
    rate, samples = float(record[2]), int(record[3])
    digital = _read_int16(path.parent / rows[0][1], samples)
    return Channels(digital, np.full(len(LEADS), _missing("16")), rate, [row[6].strip() for row in rows], gains,
                    np.array([int(row[3]) for row in rows]), [row[4] for row in rows], [int(row[5]) for row in rows])


def decode_any(path: Path, *, twelve: bool = True) -> Channels:
    """Decode any record that the wfdb package reads; `twelve` refuses other leads than the standard ones.

    Raises:
        SignalError: as `read_signal`.
    """
    import wfdb

    head = _wfdb_call("unreadable_header", wfdb.rdheader, path)
    if not getattr(head, "file_name", None) or None in (head.sig_name or [None]) + (head.checksum or [None]):
        raise SignalError("unreadable_header", "the header is one of several segments, or names no leads or checksums")
    if twelve:
        _refuse_leads(head.sig_name)
    _refuse_short_files(path, head)
    if len(set(head.samps_per_frame)) > 1:
        raise SignalError("sampling_rate", "the leads have different sampling rates")
    record = _wfdb_call("unreadable_signal", wfdb.rdrecord, path, physical=False, smooth_frames=False)
    missing = [_missing(fmt) for fmt in record.fmt]
    return Channels(np.stack(record.e_d_signal, axis=1), np.array(missing), record.fs * record.samps_per_frame[0],
                    record.sig_name, np.array(record.adc_gain, float), np.array(record.baseline),
                    record.units, record.checksum)


def _to_signal(channels: Channels) -> Signal:
    _refuse_leads(channels.names)
    millivolt = _millivolt(channels)
    return Signal(np.ascontiguousarray(millivolt.T[lead_order(channels.names)]), channels.sampling_rate)


def _millivolt(channels: Channels, rates: tuple[float, float] = RATES) -> np.ndarray:
    """Verify what the header states and scale the samples: float32 (T, channels)."""
    if not rates[0] <= channels.sampling_rate <= rates[1]:
        raise SignalError("sampling_rate", f"{channels.sampling_rate:g} Hz lies outside {rates[0]:g}-{rates[1]:g} Hz")
    _verify_checksums(channels)
    scale = [MILLIVOLT_PER.get(unit.strip().lower()) for unit in channels.units]
    if None in scale:
        raise SignalError("unit", f"the unit {channels.units[scale.index(None)]!r} is none of mV, uV, V, nV")
    millivolt = (channels.digital.astype(np.float64) - channels.baselines) / channels.gains * np.array(scale)
    millivolt[channels.digital == channels.missing] = np.nan
    return millivolt.astype(np.float32)


def _read_header(path: Path) -> str:
    header = path.with_name(path.name + ".hea")
    try:
        return header.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SignalError("missing_file", f"{header.name} is not there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError("unreadable_header", f"{header.name}: {error}") from None


def _read_int16(file: Path, samples: int) -> np.ndarray:
    count = samples * len(LEADS)
    try:
        held = file.stat().st_size // 2  # asked first: numpy would reserve memory for whatever the header claims
        if held < count:
            raise SignalError("truncated", f"{file.name} holds {held} of {count} samples")
        return np.fromfile(file, "<i2", count=count).reshape(samples, len(LEADS))
    except FileNotFoundError:
        raise SignalError("missing_file", f"{file.name} is not there") from None
    except OSError as error:
        raise SignalError("unreadable_signal", f"{file.name}: {error}") from None


def _format(name: str) -> tuple[int, float]:
    return FORMATS.get(name, (64, 0))


def _missing(name: str) -> int:
    return -(1 << (_format(name)[0] - 1))


def _refuse_leads(names: list[str]) -> None:
    if lead_order(names) is None:
        raise SignalError("wrong_leads", f"the leads are {', '.join(map(str, names))}, not the twelve standard ones")


def _verify_checksums(channels: Channels) -> None:
    """Compare with the header: a 16-bit sum of each channel's samples, signed or unsigned by its writer."""
    sums = channels.digital.sum(axis=0, dtype=np.int64)
    for name, total, stated in zip(channels.names, sums, channels.checksums, strict=True):
        if (int(total) - stated) % 65536:
            raise SignalError("checksum", f"lead {name} sums to {total % 65536}, its header says {stated % 65536}")


def _refuse_short_files(path: Path, head) -> None:
    """Raise SignalError when a signal file is missing or shorter than its channels need."""
    for name in dict.fromkeys(head.file_name):
        file = path.parent / name
        if not file.is_file():
            raise SignalError("missing_file", f"{name} is not there")
        mine = [i for i, other in enumerate(head.file_name) if other == name]
        widths = [_format(head.fmt[i])[1] * head.samps_per_frame[i] for i in mine]
        needed = int((head.sig_len or 0) * sum(widths)) + (head.byte_offset[mine[0]] or 0)
        if file.stat().st_size < needed:
            raise SignalError("truncated", f"{name} holds {file.stat().st_size} of {needed} bytes")


def _wfdb_call(reason: str, function, path: Path, **options):
    try:
        return function(str(path), **options)
    except Exception as error:  # wfdb raises whatever its parsing meets: IndexError, TypeError, ValueError
        raise SignalError(reason, f"{path.name}: {' '.join(str(error).split()) or type(error).__name__}") from None
