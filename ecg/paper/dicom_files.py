"""DICOM files that hold pages: secondary captures, and PDFs in an envelope."""

import functools
import io
import warnings
from collections.abc import Callable

import numpy as np

from ecg.paper.limits import MAX_PAGES, check_sizes
from ecg.paper.raster_files import open_picture

_PREAMBLE = 132
_SYNTAX_WITHIN = 4096
_DEFLATED = "1.2.840.10008.1.2.1.99"
_JPEG = {"1.2.840.10008.1.2.4.50": ("JPEG",), "1.2.840.10008.1.2.4.51": ("JPEG",),
         "1.2.840.10008.1.2.4.90": ("JPEG2000",), "1.2.840.10008.1.2.4.91": ("JPEG2000",)}
"""Transfer syntaxes whose frames are picture files; their own headers are held to the limits."""
_RAW = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_RLE, _RLE_BYTES = "1.2.840.10008.1.2.5", 8_000_000
"""Run lengths may stand for 64 times their own bytes, whatever the header says."""


def open_dicom(data: bytes, name: str) -> list[Callable[[], np.ndarray]]:
    """Look at a DICOM file.

    Returns:
        One function a frame, or a page of the PDF inside, that decodes it: RGB, uint8 (H, W, 3).

    Raises:
        ValueError: damaged, without a page in it, of a transfer syntax that is not read, or beyond the limits.
    """
    import pydicom

    if _transfer_syntax(data) == _DEFLATED:
        raise ValueError(f"{name}: a deflated DICOM file; store it uncompressed or with JPEG")
    dataset = _guarded(name, lambda: pydicom.dcmread(io.BytesIO(data)))
    if "EncapsulatedDocument" in dataset:
        if dataset.get("MIMETypeOfEncapsulatedDocument", "application/pdf") != "application/pdf":
            raise ValueError(f"{name}: this DICOM file encloses a document that is no PDF; enclose a PDF")
        from ecg.paper.pdf_files import open_pdf

        return open_pdf(bytes(dataset.EncapsulatedDocument), name)
    if "PixelData" not in dataset:
        kind = "a waveform, not a page" if "WaveformSequence" in dataset else "no picture"
        raise ValueError(f"{name}: this DICOM file holds {kind}; give a secondary capture or an enclosed PDF")
    return _guarded(name, lambda: _frames(dataset, name))


def _transfer_syntax(data: bytes) -> str:
    """Read how a file is stored from its first bytes: a parser would inflate a deflated one without any limit."""
    head = data[_PREAMBLE:_PREAMBLE + _SYNTAX_WITHIN]
    place = head.find(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(head[place + 6:place + 8], "little")
    return head[place + 8:place + 8 + length].rstrip(b"\0 ").decode("ascii", "replace") if place >= 0 else ""


def _frames(dataset, name: str) -> list[Callable[[], np.ndarray]]:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    count = int(dataset.get("NumberOfFrames") or 1)
    check_sizes(name, [(int(dataset.Columns), int(dataset.Rows))] * min(count, MAX_PAGES + 1))
    if syntax in _JPEG:
        return [page for frame in _encapsulated(dataset, count)
                for page in open_picture(frame, name, kinds=_JPEG[syntax])]
    if syntax == _RLE and len(dataset.PixelData) > _RLE_BYTES:
        raise ValueError(f"{name}: a DICOM file with {len(dataset.PixelData) / 1e6:.0f} MB of run lengths, the limit "
                         f"is {_RLE_BYTES / 1e6:.0f} MB; store it uncompressed or with JPEG")
    if syntax not in (*_RAW, _RLE):
        raise ValueError(f"{name}: a DICOM file of transfer syntax {syntax[:64]}, which is not read; store it "
                         "uncompressed or with baseline JPEG")
    return [functools.partial(_guarded, name, functools.partial(_pixels, dataset, place)) for place in range(count)]


def _encapsulated(dataset, count: int) -> list[bytes]:
    from pydicom.encaps import generate_frames

    frames = generate_frames(dataset.PixelData, number_of_frames=count)
    return [frame for frame, _ in zip(frames, range(count), strict=False)]


def _pixels(dataset, place: int) -> np.ndarray:
    """Decode an uncompressed or run-length frame and bring it to RGB of 8 bits."""
    from pydicom.pixels import apply_color_lut, pixel_array

    frame = pixel_array(dataset, index=place)  # YBR comes as RGB
    shown = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    depth = float((1 << int(dataset.BitsStored)) - 1)
    if shown == "PALETTE COLOR":
        frame = apply_color_lut(frame, dataset)
        depth = 65535.0 if frame.dtype.itemsize > 1 else 255.0
    values = frame.astype(np.float32) / depth
    if dataset.get("PixelRepresentation") and shown.startswith("MONOCHROME"):
        values += 0.5
    if shown == "MONOCHROME1":
        values = 1 - values
    out = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return out if out.ndim == 3 else np.repeat(out[..., None], 3, axis=2)


def _guarded(name: str, work: Callable):
    """Do what the parser may fail at, and say so in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises a dozen types on broken files
        if isinstance(error, ValueError) and str(error).startswith(f"{name}: "):
            raise
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{name}: not a readable DICOM file ({detail}); store it anew, or as PNG") from None
