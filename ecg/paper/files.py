"""Page files from outside, of every kind that people send: read with limits that hold before anything is decoded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecg.paper.limits import check_bytes

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".pdf", ".dcm")
"""What is taken for a page in a folder; a file named by itself may end in anything: its content says what it is."""
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"GIF8")
_PDF, _PDF_WITHIN = b"%PDF-", 1024
"""Readers allow that much before a PDF's first line."""


def open_pages(data: bytes, name: str = "image") -> list[Callable[[], np.ndarray]]:
    """Look at a page file: what it is, how many pages it has, and whether they are within the limits.

    Args:
        data: a picture (PNG, JPEG, WebP, TIFF, BMP, GIF), a PDF, or a DICOM file with pictures or a PDF in it.
        name: stands for the file in messages.

    Returns:
        One function a page that decodes it: RGB, uint8 (H, W, 3), upright as its EXIF says. It raises a ValueError
        where that page is broken. Nothing is held but the file itself, so pages are best read one by one.

    Raises:
        ValueError: no page file, or beyond `MAX_BYTES`, `MAX_PAGES`, `MAX_PIXELS` or `MAX_FILE_PIXELS` of
            `ecg.paper.limits`; one line that begins with the name.
    """
    check_bytes(name, len(data))
    # Imported where needed: each costs a start that most servers and commands never use. A DICOM file may look like a
    # TIFF at its start, a picture's text may speak of PDF.
    if data[128:132] == b"DICM":
        from ecg.paper.dicom_files import open_dicom

        return open_dicom(data, name)
    if _PDF in data[:_PDF_WITHIN] and not data.startswith(_PICTURES):
        from ecg.paper.pdf_files import open_pdf

        return open_pdf(data, name)
    from ecg.paper.raster_files import open_picture

    return open_picture(data, name)


def read_bytes(path: Path | str) -> bytes:
    """Read a file that is not too large.

    Raises:
        ValueError: no such file, not readable, or beyond `MAX_BYTES`; one line naming the file.
    """
    path = Path(path)
    try:
        check_bytes(str(path), path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give a picture file") from None


def read_image(path: Path | str) -> np.ndarray:
    """Read the first page of a file as RGB, uint8 (H, W, 3), turned as its EXIF says.

    Raises:
        ValueError: what `open_pages` and `read_bytes` refuse; one line naming the file.
    """
    return read_image_bytes(read_bytes(path), str(path))


def read_image_bytes(data: bytes, name: str = "image") -> np.ndarray:
    """Read a file's bytes like `read_image`; `name` stands for the file in messages."""
    return open_pages(data, name)[0]()
