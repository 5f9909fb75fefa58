"""Pictures of pages as files of the kinds that people send: PNG, JPEG, TIFF, PDF."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ecg.files import write_whole
from ecg.paper.png import IndexedPage, encode_png

FORMATS = {"png": "PNG", "jpg": "JPEG", "tiff": "TIFF", "pdf": "PDF"}
"""Endings, and what Pillow calls them."""


def write_picture(path: Path | str, image: np.ndarray | IndexedPage, *, dpi: float, quality: int = 92) -> None:
    """Write a picture whole or not at all; the path's ending says as what.

    Args:
        path: of the file, ending in one of `FORMATS`.
        image: an `IndexedPage`, RGB (H, W, 3) or grey (H, W), uint8.
        dpi: that the file states; a PDF's page has the size that it gives.
        quality: of a JPEG, 1-95.

    Raises:
        ValueError: another ending.
    """
    path = Path(path)
    ending = path.suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise ValueError(f"{path}: a picture ends in one of {', '.join(FORMATS)}")
    write_whole(path, encode_png(image) if ending == "png" else _encode(image, FORMATS[ending], dpi, quality))


def _encode(image: np.ndarray | IndexedPage, kind: str, dpi: float, quality: int) -> bytes:
    picture = Image.fromarray(image.rgb() if isinstance(image, IndexedPage) else image)
    options = {"JPEG": {"quality": quality, "dpi": (dpi, dpi)}, "PDF": {"resolution": dpi},
               "TIFF": {"compression": "tiff_deflate", "dpi": (dpi, dpi)}}[kind]
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
