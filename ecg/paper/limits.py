"""What a file from outside may cost: looked up in headers, before anything is decoded."""

MAX_BYTES = 30_000_000
MAX_PIXELS = 60_000_000
"""Of one page: a scan of A4 at 600 dpi has 35 million."""
MAX_PAGES = 16
"""Of one file."""
MAX_FILE_PIXELS = 160_000_000
"""Of all pages of a file together."""


def check_bytes(name: str, size: int) -> None:
    """Raise a ValueError where a file of `size` bytes is too large."""
    if size > MAX_BYTES:
        raise ValueError(f"{name}: {size / 1e6:.0f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; save it as JPEG")


def check_sizes(name: str, sizes: list[tuple[int, int]]) -> None:
    """Raise a ValueError where the pages of a file, (width, height) each, are too many or too large.

    A caller need not look at more pages than `MAX_PAGES` + 1.
    """
    if not sizes:
        raise ValueError(f"{name}: holds no page")
    if len(sizes) > MAX_PAGES:
        raise ValueError(f"{name}: more than {MAX_PAGES} pages; send them in several files")
    for width, height in sizes:
        if width * height > MAX_PIXELS:
            raise ValueError(f"{name}: {width} x {height} pixels, the limit is {MAX_PIXELS // 1_000_000} million; "
                             "scale it down")
    if (total := sum(width * height for width, height in sizes)) > MAX_FILE_PIXELS:
        raise ValueError(f"{name}: {total / 1e6:.0f} million pixels on {len(sizes)} pages, the limit is "
                         f"{MAX_FILE_PIXELS // 1_000_000} million; send the pages one by one")
