"""Read one 12-lead WFDB record, its header's checksums verified.

Most archives hold one file of interleaved samples a record, in one of four formats. Those are decoded here, some
fifty times as fast as by the wfdb package; everything else goes through wfdb. Both ways give the same values (tests
compare them on random records).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg.leads import complete_leads, lead_order
from ecg.quality import MIN_SECONDS
from ecg.sources.wfdb_header import MILLIVOLT_PER, Header, parse_header
from ecg.sources.wfdb_samples import CROPPED, NOT_SOUND, decode, needed_bytes, read_bytes, to_microvolt

RATES = (50.0, 20000.0)
"""Sampling rates, in Hz, that a diagnostic ECG can have; below, the QRS complex is not in it."""
MOST_HEADER = 1 << 18
"""Bytes of the longest header that is read; those of 12 leads take about 700."""
DRAWN_RATES = (10.0, 20000.0)
"""Sampling rates that are drawn when somebody asks for a picture."""
FORMATS = {"16": (16, 2), "24": (24, 3), "32": (32, 4), "61": (16, 2), "80": (8, 1), "160": (16, 2), "212": (12, 1.5),
           "310": (10, 4 / 3), "311": (10, 4 / 3), "508": (8, 0), "516": (16, 0), "524": (24, 0)}
"""Bits and bytes of a sample in each WFDB format; 0 bytes where they are compressed. The least value of so many
bits stands for a missing sample."""


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
    flags: tuple[str, ...] = ()
    """Notes for the record."""


@dataclass(frozen=True)
class Channels:
    """What either decoder finds: `digital` int (T, channels), and each channel's header fields."""

    digital: np.ndarray
    missing: np.ndarray
    """Value that stands for a missing sample, one a channel."""
    sampling_rate: float
    names: list[str]
    gains: np.ndarray
    baselines: np.ndarray
    units: list[str]
    checksums: list[int]


def read_signal(path: Path | str) -> Signal:
    """Read the record at `path` (without suffix).

    Raises:
        SignalError: the files are missing or damaged, or are no 12-lead ECG.
    """
    return to_signal(_read_channels(os.fspath(path)))


def read_leads(path: Path | str) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Read the record at `path` (without suffix) whichever of the twelve leads it has.

    Returns:
        float32 (12, T) in millivolt, NaN where nothing was recorded; the sampling rate; and sentences on leads that
        were derived or are absent.

    Raises:
        SignalError: the files are missing or damaged, or hold none of the twelve leads.
    """
    channels = _read_channels(os.fspath(path), twelve=False)
    try:
        millivolt, notes = complete_leads(channels.names, _millivolt(channels, DRAWN_RATES).T)
    except ValueError as error:
        raise SignalError("wrong_leads", str(error)) from None
    return millivolt, channels.sampling_rate, notes


def read_microvolt(path: str, rate: float, out: np.ndarray) -> int:
    """Read a sound record of the store's own sampling rate straight into the store's form.

    Args:
        path: of the record, without suffix.
        rate: the store's sampling rate, Hz.
        out: int16 (12, samples) to fill with microvolt.

    Returns:
        A bit for each flat lead and `CROPPED` where the record is longer; or `NOT_SOUND` for any record, damaged or
        only different, that `read_signal` has to look at.
    """
    try:
        header = parse_header(read_header(path))
        if header is None or header.rate != rate or header.samples < out.shape[1]:
            return NOT_SOUND
        layout = header.layout
        if layout.order is None or layout.scales is None:
            return NOT_SOUND
        if header.samples < MIN_SECONDS * rate or not RATES[0] <= rate <= RATES[1]:
            return NOT_SOUND
        digital = _read_samples(path, header)
    except SignalError:
        return NOT_SOUND
    bits = to_microvolt(digital, layout.order, layout.baselines, layout.gains, layout.scales,
                        np.array(header.checksums), _missing(layout.fmt), out)
    return bits | CROPPED if bits != NOT_SOUND and header.samples > out.shape[1] else bits


def _read_channels(path: str, *, twelve: bool = True) -> Channels:
    header = parse_header(read_header(path))
    return decode_any(path, twelve=twelve) if header is None else decode_plain(path, header)


def decode_plain(path: str, header: Header) -> Channels:
    """Decode a record of one file.

    Raises:
        SignalError: the signal file is missing or too short.
    """
    layout = header.layout
    return Channels(_read_samples(path, header), np.full(len(layout.names), _missing(layout.fmt)), header.rate,
                    layout.names, layout.gains, layout.baselines, layout.units, header.checksums)


def _read_samples(path: str, header: Header) -> np.ndarray:
    """Read a record's one signal file: integers, shape (T, channels)."""
    layout = header.layout
    count = header.samples * len(layout.names)
    needed = layout.offset + needed_bytes(layout.fmt, count)
    try:
        data = read_bytes(path[:path.rfind("/") + 1] + header.file, most=needed)
    except FileNotFoundError:
        raise SignalError("missing_file", f"{header.file} is not there") from None
    except OSError as error:
        raise SignalError("unreadable_signal", f"{header.file}: {error.strerror}") from None
    if len(data) < needed:
        raise SignalError("truncated", f"{header.file} holds {len(data)} of {needed} bytes")
    return decode(data, layout.fmt, count=count, offset=layout.offset).reshape(header.samples, len(layout.names))


def decode_any(path: Path | str, *, twelve: bool = True) -> Channels:
    """Decode any record that the wfdb package reads; `twelve` refuses other leads than the standard ones.

    Raises:
        SignalError: as `read_signal`.
    """
    import wfdb

    path = Path(path)
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


def to_signal(channels: Channels) -> Signal:
    """Verify the channels and put the twelve leads in order, in millivolt; raises as `read_signal`."""
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


def read_header(path: str) -> str:
    """Return the text of a record's header.

    Raises:
        SignalError: it is missing, too long for a header, or no text in UTF-8.
    """
    try:
        data = read_bytes(path + ".hea", most=MOST_HEADER + 1)
        if len(data) > MOST_HEADER:
            raise SignalError("unreadable_header", f"{os.path.basename(path)}.hea is longer than {MOST_HEADER} bytes")
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise SignalError("missing_file", f"{os.path.basename(path)}.hea is not there") from None
    except (OSError, ValueError) as error:  # no UTF-8, or a path that no system has
        said = error.strerror if isinstance(error, OSError) else error
        raise SignalError("unreadable_header", f"{os.path.basename(path)}.hea: {said}") from None


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
        if not os.path.isfile(file):  # the Path's own raises on a name too long for any file
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
