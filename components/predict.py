"""predict: page files to findings, read by a package on this machine or by a served model."""

import functools
import glob
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from components.progress import say, track
from ecg.files import write_whole
from ecg.paper.files import ENDINGS
from ecg.paper.layout import layout as known_layout
from ecg.paper.limits import check_bytes

UNREADABLE_PAGES = 2
"""Exit status when a page could not be read."""

Read = Callable[..., dict]
"""Takes a file's bytes and `explain`, returns its answer."""


def run(*, page_paths: list[Path], package: Path | None = None, endpoint: str | None = None, token: str | None = None,
        key_file: Path | None = None, layout: str | None = None, json_out: Path | None = None,
        csv_out: Path | None = None, html_out: Path | None = None, fhir_out: Path | None = None) -> list[dict]:
    """Read pages and print a table of findings for each.

    Args:
        page_paths: page files, folders of them, and patterns such as scans/*.png.
        package: the package folder that reads; or
        endpoint: address of the server, or of a model on it.
        token: for the endpoint; or
        key_file: TorchServe's key file, read anew at each request.
        layout: how the pages are arranged; None: as the package expects.
        json_out: file to write the answers to, without pictures.
        csv_out: file to write a table to, a row a finding.
        html_out: file to write a page for people to, with pictures.
        fhir_out: file to write a bundle of FHIR resources to.

    Returns:
        For each file `{"file": …, …answer}`, or `{"file": …, "error": …}`: `exit_status` makes of it what the
        command returns.

    Raises:
        ValueError: no page is given, or not one of package and endpoint; the package is damaged; the token is
            refused; a file could not be written.
        Unavailable: the server does not answer.
    """
    from components.predict_files import take_pictures

    files = image_files(page_paths)
    for out in filter(None, (json_out, csv_out, html_out, fhir_out)):
        _check_place(out)
    read = reader(package, endpoint, token, key_file, layout)
    results, pictures = [], []
    try:
        for file in track(files, total=len(files), label="predict"):
            results.append(_attempt(read, file, explain=html_out is not None))
            pictures.append(take_pictures(results[-1]))
            print("\n".join(table(results[-1])))
    finally:
        # A server that goes away, or Ctrl-C, does not take back what was read before.
        if results:
            _write(results, pictures, json_out=json_out, csv_out=csv_out, html_out=html_out, fhir_out=fhir_out)
        if len(results) < len(files):
            say(f"predict: {len(results)} of {len(files)} files were read")
    return results


def _write(results: list[dict], pictures: list[dict], *, json_out: Path | None, csv_out: Path | None,
           html_out: Path | None, fhir_out: Path | None) -> None:
    from components.predict_files import write_csv, write_html

    if json_out:
        write_whole(json_out, json.dumps(results, indent=1) + "\n")
    if csv_out:
        write_csv(csv_out, results)
    if html_out:
        write_html(html_out, results, pictures)
    if fhir_out:
        write_whole(fhir_out, json.dumps(_bundle(results), indent=1) + "\n")


def read_pages(folder: Path, package: Path) -> list[dict]:
    """Read a folder of pages with a package; one answer a page, without the table.

    Raises:
        ValueError: no page is there, or the package is damaged.
    """
    read, files = reader(package, None, None, None, None), image_files([folder])
    return [page for file in track(files, total=len(files), label="read")
            for page in pages(_attempt(read, file, explain=False))]


def exit_status(results: list[dict]) -> int:
    """0 when every page was read."""
    return UNREADABLE_PAGES if any("error" in page for result in results for page in pages(result)) else 0


def pages(result: dict) -> list[dict]:
    """Return the answers of a file's pages, one or several, each with the file's name."""
    from model.file_reading import pages_of

    return [{"file": result["file"], **page} for page in pages_of(result)]


def table(result: dict) -> Iterator[str]:
    """Yield the lines that a person reads about one file: findings, most probable first, a mark where present."""
    from components.predict_files import title

    for page in pages(result):
        yield from _page_table(page, title(page["file"], page))


def _page_table(result: dict, title: str) -> Iterator[str]:
    if "error" in result:
        yield f"{title}: not read: {result['error']}"
        return
    page, model = result["page"], result["model"]
    yield (f"{title}  ({model['name']} {result['version']}, {page['px_per_mm_found']:.1f} px/mm, "
           f"grid {page['confidence']:.0%} sure)")
    yield from (f"    doubtful: {warning}" for warning in page["warnings"])
    width = max(len(finding["label"]) for finding in result["findings"])
    yield f"    {'finding':<{width}}  probability  threshold"
    for finding in sorted(result["findings"], key=lambda finding: -finding["probability"]):
        mark = "*" if finding["present"] else " "
        yield (f"  {mark} {finding['label']:<{width}}  {finding['probability']:>11.3f}  {finding['threshold']:>9.3f}"
               + _certainty(finding))


def _certainty(finding: dict) -> str:
    """What newer packages know besides: the calibrated probability, and whether the page decides."""
    from model.file_reading import undecided

    if "calibrated" not in finding:
        return ""
    return f"  {finding['calibrated']:4.0%} likely{', not decided' if undecided(finding) else ''}"


def image_files(paths: list[Path]) -> list[Path]:
    """Return the page files that paths stand for, those of folders and patterns in the order of their names.

    Raises:
        ValueError: none, a folder without any, or a pattern that nothing matches.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
            if not found:
                raise ValueError(f"{path}: no image in this folder ({', '.join(ENDINGS)}); name those within its "
                                 f"folders by a pattern, '{path}/**/*.png'")
            files += found
        elif glob.has_magic(str(path)) and not path.exists():
            matched = sorted(file for file in map(Path, glob.glob(str(path), recursive=True)) if file.is_file())
            if not matched:
                raise ValueError(f"{path}: no file matches; check the pattern")
            files += matched
        else:
            files.append(path)
    if not files:
        raise ValueError("no page given: name an image file or a folder of them")
    return files


def reader(package: Path | None, endpoint: str | None, token: str | None, key_file: Path | None,
           layout: str | None) -> Read:
    """Return what reads a file: a package on this machine, or a client of a served model.

    Raises:
        ValueError: not one of package and endpoint, not one of token and key file, a damaged package, or no such
            layout.
    """
    if (package is None) == (endpoint is None):
        raise ValueError("give either a package (--package DIR) or a served model (--endpoint URL)")
    if layout is not None:
        known_layout(layout)
    if package is not None:
        from model.file_reading import FileReading
        from model.reading import PageReading

        reading = PageReading.open(package)
        return FileReading(reading.arranged(layout) if layout else reading).read
    from serving.client import Client, file_token, static_token

    if (token is None) == (key_file is None):
        raise ValueError("--endpoint: give the server's token (--token) or its key file (--key-file FILE)")
    client = Client(endpoint, static_token(token) if token is not None else file_token(key_file))
    return functools.partial(client.predict, layout=layout or "")


def _attempt(read: Read, file: Path, *, explain: bool) -> dict:
    from model.file_reading import error_answer
    from serving.client import Refused

    try:
        return {"file": str(file), **read(_bytes(file), explain=explain)}
    except Refused:
        raise
    except ValueError as error:
        return {"file": str(file), **error_answer(error)}


def _bytes(file: Path) -> bytes:
    try:
        check_bytes("image", file.stat().st_size)
        return file.read_bytes()
    except FileNotFoundError:
        raise ValueError("no such file; check its name") from None
    except OSError as error:
        raise ValueError(f"the file cannot be opened ({error.strerror}); may you read it?") from None


def _check_place(out: Path) -> None:
    """Refuse a file that could not be written, before hours of reading go into it."""
    if out.is_dir():
        raise ValueError(f"{out}: is a folder; name a file to write")
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ValueError(f"{out}: cannot be written; name a file in a folder that you may write to")


def _bundle(results: list[dict]) -> dict:
    from serving.fhir import bundle, gather

    return gather([bundle(result) for result in results if "error" not in result])
