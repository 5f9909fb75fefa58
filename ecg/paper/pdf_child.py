"""One page of a PDF as pixels: a process of its own, run by `pdf_files` with nothing but this file.

The renderer is C++ and its input comes from anybody. Here a bomb meets a limit of memory or time and a crash takes
nothing down. Standard input: the PDF. Standard output: a line of JSON, then the page's RGB.
"""

import json
import resource
import sys


def main(page: int, dpi: float, page_pixels: int, max_pixels: int, max_pages: int, max_memory: int,
         max_seconds: int) -> None:
    """Print `{"pages", "width", "height", "images"}` and the pixels of page `page`; `{"refused"}` where none can be.

    A page that has more than `page_pixels` at `dpi` is drawn smaller; its pixels are left out where a picture on it
    has more than `max_pixels`.
    """
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    resource.setrlimit(resource.RLIMIT_CPU, (max_seconds, max_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pypdfium2
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
        count = len(document)
        if not 0 < count <= max_pages:
            return _say({"pages": count})
        sheet = document[page]
        # A picture is decoded whole, however small it is shown.
        images = [image.get_px_size() for image in sheet.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=8)]
        width, height = sheet.get_size()
        if any(w * h > max_pixels for w, h in images) or min(width, height) <= 0:
            return _say({"pages": count, "images": images})
        # A hair less: the renderer rounds up, and 43.2 points at 200 dpi are 120 pixels, not 121.
        scale = (1 - 1e-5) * min(dpi / 72, (page_pixels / (width * height)) ** 0.5)
        bitmap = sheet.render(scale=scale, rev_byteorder=True)
    except pypdfium2.PdfiumError as error:
        return _say({"refused": str(error)})
    _say({"pages": count, "images": images, "width": bitmap.width, "height": bitmap.height, "stride": bitmap.stride,
          "channels": bitmap.n_channels})
    sys.stdout.buffer.write(bytes(bitmap.buffer))


def _say(head: dict) -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]), float(given[1]), *(int(text) for text in given[2:]))
