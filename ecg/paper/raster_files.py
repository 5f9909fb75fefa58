"""Picture files (PNG, JPEG, WebP, TIFF of several pages, BMP, GIF), read by Pillow within limits."""

import functools
import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from ecg.paper.limits import MAX_PAGES, MAX_PIXELS, check_sizes
from ecg.paper.png_decode import decode_png

KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""Pillow knows dozens more, one of which starts an interpreter of PostScript: none of them is a page."""
_SUBFILE_TYPE, _TILE_WIDTH, _TILE_HEIGHT = 254, 322, 323
_THUMBNAIL = 1
_FROM_PHONES = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")


def open_picture(data: bytes, name: str, *, kinds: tuple[str, ...] = KINDS) -> list[Callable[[], np.ndarray]]:
    """Look at a picture file's headers.

    Args:
        data: the file.
        name: stands for it in messages.
        kinds: Pillow's names of what is read.

    Returns:
        One function a page that decodes it, RGB uint8 (H, W, 3), upright as its EXIF says; it raises a ValueError
        where the file is broken. A TIFF has a page for each picture but thumbnails, any other file one.

    Raises:
        ValueError: no picture, or beyond the limits.
    """
    if data[4:12] in _FROM_PHONES:
        raise ValueError(f"{name}: not a readable picture (HEIC or AVIF); let the phone save photos as JPEG "
                         "('most compatible')")
    places = _guarded(name, functools.partial(_look, data, name, kinds))
    return [functools.partial(_guarded, name, functools.partial(_decode, data, place, kinds)) for place in places]


def _look(data: bytes, name: str, kinds: tuple[str, ...]) -> list[int]:
    """Return the places of a file's pages in it, within the limits."""
    places, sizes = [], []
    with Image.open(io.BytesIO(data), formats=kinds) as picture:
        # One by one: to count the pictures of a hostile TIFF first would take minutes.
        for place in range(2 * MAX_PAGES + 1):
            if place:
                try:
                    picture.seek(place)
                except EOFError:
                    break
            tags = getattr(picture, "tag_v2", {})
            if not places or not int(tags.get(_SUBFILE_TYPE, 0)) & _THUMBNAIL:
                places.append(place)
                sizes += [picture.size]
                _check_tile(name, tags)
            if picture.format != "TIFF":
                break
    check_sizes(name, sizes)
    return places


def _check_tile(name: str, tags) -> None:
    """Refuse tiles larger than a page: decoding takes memory for a whole one."""
    if int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_HEIGHT, 0)) > MAX_PIXELS:
        raise ValueError(f"{name}: a tile of more than {MAX_PIXELS // 1_000_000} million pixels; save it anew")


def _decode(data: bytes, place: int, kinds: tuple[str, ...]) -> np.ndarray:
    if "PNG" in kinds and (fast := decode_png(data)) is not None:
        return fast
    with Image.open(io.BytesIO(data), formats=kinds) as picture:
        if place:
            picture.seek(place)
        return _rgb(picture)


def _guarded(name: str, work: Callable):
    """Do what Pillow may fail at, and say so in one line."""
    try:
        with warnings.catch_warnings():
            # Pillow's own, looser limit; ours is checked from the header alone. And its doubts about TIFF tags.
            warnings.simplefilter("ignore")
            return work()
    except Image.DecompressionBombError:
        raise ValueError(f"{name}: more than {MAX_PIXELS // 1_000_000} million pixels; scale it down") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise SyntaxError, struct.error and others on broken files
        if isinstance(error, ValueError) and str(error).startswith(f"{name}: "):
            raise
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):
            detail = "no known image format"
        raise ValueError(f"{name}: not a readable picture ({detail}); give a PNG or JPEG") from None


def _rgb(picture: Image.Image) -> np.ndarray:
    """Decode, turn upright, lay transparent parts on white and bring deeper greys down to 8 bits."""
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(picture, np.float64))
        depth = 65535.0 if values.max(initial=0) > 255 else 255.0
        return np.repeat(np.clip(values / depth * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))
