"""Pictures from outside: read with limits that hold before anything is decoded."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAX_BYTES = 30_000_000
MAX_PIXELS = 60_000_000


def read_image(path: Path | str) -> np.ndarray:
    """Read a picture file (PNG, JPEG, WebP, TIFF, …) as RGB, uint8 (H, W, 3), turned as its EXIF says.

    Raises:
        ValueError: no such file, no picture, or beyond `MAX_BYTES` or `MAX_PIXELS`; one line naming the file.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(_too_many_bytes(str(path), size))
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give a picture file") from None
    return read_image_bytes(data, str(path))


def read_image_bytes(data: bytes, name: str = "image") -> np.ndarray:
    """Read a picture's bytes like `read_image`; `name` stands for the file in messages.

    Raises:
        ValueError: no picture, or beyond the limits.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(_too_many_bytes(name, len(data)))
    try:
        with warnings.catch_warnings():
            # Pillow's own, looser limit; ours is checked below, from the header alone.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                _check_pixels(name, picture.width, picture.height)
                return _rgb(picture)
    except Image.DecompressionBombError:
        raise ValueError(f"{name}: more than {MAX_PIXELS // 1_000_000} million pixels; scale it down") from None
    except ValueError:
        raise
    except Exception as error:  # Pillow's decoders raise SyntaxError, struct.error and others on broken files
        detail = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):
            detail = "no known image format"
        raise ValueError(f"{name}: not a readable picture ({detail}); give a PNG or JPEG") from None


def _rgb(picture: Image.Image) -> np.ndarray:
    """Decode, turn upright, lay transparent parts on white and bring deeper greys down to 8 bits."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, np.float64)
        depth = 65535.0 if values.max(initial=0) > 255 else 255.0
        return np.repeat(np.clip(values / depth * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return np.array(picture.convert("RGB"))


def _check_pixels(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name}: {width} x {height} pixels, the limit is {MAX_PIXELS // 1_000_000} million; "
                         "scale it down")


def _too_many_bytes(name: str, size: int) -> str:
    return f"{name}: {size / 1e6:.0f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; save it as JPEG"
