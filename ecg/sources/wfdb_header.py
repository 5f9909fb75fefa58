"""Headers of WFDB records whose channels are interleaved in one file: what nearly every archive of ECGs holds.

An archive repeats one header a thousand times with other numbers in it: file name, first values and checksums. What
is the same in all of them, the `Layout`, is worked out once and found again by its words; and by one expression that
the whole of the next header matches, as long as it is like the last one. Any header that is not plainly of this kind
is left to the wfdb package.
"""

import re
from dataclasses import dataclass

import numpy as np

from ecg.leads import lead_order

MILLIVOLT_PER = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3, "nv": 1e-6}
DECODED = ("16", "212", "24", "32")
"""The formats that are decoded here."""
MOST_CHANNELS = 64
"""Headers of more channels are left to wfdb; so is their cost."""
MOST_LAYOUTS = 1024
"""How many layouts are remembered; an archive has a handful."""

_NAME = re.compile(r"[-\w]+(?:\.mat)?", re.ASCII)
_RATE = re.compile(r"\d+(?:\.\d+)?")
_FILE = re.compile(r"[-\w]+\.?\w*", re.ASCII)
_FORMAT = re.compile(r"(\d+)(?:\+(\d{1,9}))?")
_GAIN = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d{1,2})?)(?:\((-?\d{1,9})\))?(?:/([\w^%?/-]+))?")
_WHOLE = re.compile(r"-?\d{1,10}")


@dataclass(frozen=True)
class Layout:
    """What the headers of one kind of record have in common; arrays hold one value a channel."""

    fmt: str
    offset: int
    """Bytes before the first sample, as in the .mat files of CinC."""
    names: list[str]
    gains: np.ndarray
    baselines: np.ndarray
    units: list[str]
    order: np.ndarray | None
    """Where each of the twelve leads stands; None when the channels are not just these."""
    scales: np.ndarray | None
    """Millivolt in one of each channel's unit; None when one is no voltage."""


@dataclass(frozen=True, slots=True)
class Header:
    """One record's header: `file` is the signal file's name, `samples` those of each channel."""

    rate: float
    samples: int
    file: str
    checksums: list[int]
    layout: Layout


class _Layouts(dict[tuple[str, ...], Layout | None]):
    """The layouts met so far, and of the last that was met twice its expression."""

    form: re.Pattern | None = None
    of_form: Layout | None = None


_LAYOUTS = _Layouts()


def parse_header(text: str) -> Header | None:
    """Read a header, or return None for one that is not plainly of one file, one format and whole lines."""
    if _LAYOUTS.form and _LAYOUTS.of_form and (found := _LAYOUTS.form.fullmatch(text)):
        rate, samples, file, *checksums = found.groups()
        return Header(float(rate), int(samples), file, list(map(int, checksums)), _LAYOUTS.of_form)
    return parse_words(text)


def parse_words(text: str) -> Header | None:
    """Read a header word by word; as `parse_header`."""
    if not text.isascii():
        return None
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    record = lines[0].split() if lines else []
    if len(record) < 4 or not (record[1].isdigit() and record[3].isdigit() and _RATE.fullmatch(record[2])
                               and _NAME.fullmatch(record[0])):
        return None
    if len(lines) - 1 != int(record[1]) or not 1 < len(lines) <= MOST_CHANNELS + 1 or len(record[3]) > 12:
        return None
    words = [line.split(None, 8) for line in lines[1:]]
    if any(len(each) != 9 or each[0] != words[0][0] or each[1] != words[0][1] for each in words):
        return None
    checksums = [each[6] for each in words]
    if not all(map(_WHOLE.fullmatch, checksums)):
        return None
    layout = _layout(words)
    return layout and Header(float(record[2]), int(record[3]), words[0][0], list(map(int, checksums)), layout)


def _layout(words: list[list[str]]) -> Layout | None:
    """Find the layout of these lines again, or work it out."""
    key = (words[0][1], *[word for each in words for word in (each[2], each[4], each[8])])
    known = key in _LAYOUTS
    if not known:
        if len(_LAYOUTS) >= MOST_LAYOUTS:
            _LAYOUTS.clear()
        _LAYOUTS[key] = _new_layout(words)
    usual = all(each[7] == "0" and each[3].isdigit() and _WHOLE.fullmatch(each[5]) for each in words)
    layout = _LAYOUTS[key] if usual and _FILE.fullmatch(words[0][0]) else None
    if layout and known and layout is not _LAYOUTS.of_form:  # compiling costs as much as reading ten headers
        _LAYOUTS.form, _LAYOUTS.of_form = _form(words), layout
    return layout


def _form(words: list[list[str]]) -> re.Pattern:
    """Return what matches headers of these lines' layout as most programs write them: single spaces, notes at the end.

    Groups: sampling rate, samples, file, and each channel's checksum.
    """
    channels = (f"{'(?P<file>' + _FILE.pattern + ')' if number == 0 else '(?P=file)'} "
                rf"{re.escape(each[1])} {re.escape(each[2])} \d+ {re.escape(each[4])} {_WHOLE.pattern} "
                rf"({_WHOLE.pattern}) 0 {re.escape(each[8])}" for number, each in enumerate(words))
    record = rf"{_NAME.pattern} {len(words)} ({_RATE.pattern}) (\d{{1,12}})(?: [ -~]*)?"
    return re.compile("\n".join([record, *channels]) + r"(?:\n#[ -~]*)*\n?", re.ASCII)


def _new_layout(words: list[list[str]]) -> Layout | None:
    form = _FORMAT.fullmatch(words[0][1])
    gains = [_GAIN.fullmatch(each[2]) for each in words]
    if form is None or form[1] not in DECODED or None in gains:
        return None
    if not all(_WHOLE.fullmatch(each[4]) for each in words) or not all(float(gain[1]) for gain in gains):
        return None
    names = [each[8].strip() for each in words]
    if any("\t" in name for name in names):
        return None
    units = [gain[3] or "mV" for gain in gains]
    # Without a baseline of its own a channel's zero is the converter's.
    baselines = [int(gain[2] or each[4]) for gain, each in zip(gains, words, strict=True)]
    scales = [MILLIVOLT_PER.get(unit.lower()) for unit in units]
    order = lead_order(names)
    return Layout(form[1], int(form[2] or 0), names, np.array([float(gain[1]) for gain in gains]),
                  np.array(baselines), units, None if order is None else np.array(order),
                  None if None in scales else np.array(scales, float))
