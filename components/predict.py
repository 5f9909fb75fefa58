"""predict: page images to findings, read by a package on this machine or by a served model."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from components.progress import track

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""What is taken for a page in a folder; a file named by itself may end in anything."""
UNREADABLE_PAGES = 2
"""Exit status when a page could not be read."""

Read = Callable[[bytes], dict]


def run(*, page_paths: list[Path], package: Path | None = None, endpoint: str | None = None, token: str | None = None,
        key_file: Path | None = None, json_out: Path | None = None) -> list[dict]:
    """Read pages and print a table of findings for each.

    Args:
        page_paths: image files, and folders of them.
        package: the package folder that reads; or
        endpoint: address of the server, or of a model on it.
        token: for the endpoint; or
        key_file: TorchServe's key file, read anew at each request.
        json_out: file to write the answers to.

    Returns:
        For each page `{"file": …, …answer}`, or `{"file": …, "error": …}`: `exit_status` makes of it what the
        command returns.

    Raises:
        ValueError: no page is given, or not one of package and endpoint; the package is damaged; the token is
            refused.
        Unavailable: the server does not answer.
    """
    files = image_files(page_paths)
    read = _reader(package, endpoint, token, key_file)
    results = []
    for file in track(files, total=len(files), label="predict"):
        results.append(_attempt(read, file))
        print("\n".join(table(results[-1])))
    if json_out:
        _write(json_out, results)
    return results


def exit_status(results: list[dict]) -> int:
    """0 when every page was read."""
    return UNREADABLE_PAGES if any("error" in result for result in results) else 0


def table(result: dict) -> Iterator[str]:
    """Yield the lines that a person reads about one page: findings, most probable first, a mark where present."""
    if "error" in result:
        yield f"{result['file']}: not read: {result['error']}"
        return
    page, model = result["page"], result["model"]
    yield (f"{result['file']}  ({model['name']} {result['version']}, {page['px_per_mm_found']:.1f} px/mm, "
           f"grid {page['confidence']:.0%} sure)")
    width = max(len(finding["label"]) for finding in result["findings"])
    yield f"    {'finding':<{width}}  probability  threshold"
    for finding in sorted(result["findings"], key=lambda finding: -finding["probability"]):
        mark = "*" if finding["present"] else " "
        yield f"  {mark} {finding['label']:<{width}}  {finding['probability']:>11.3f}  {finding['threshold']:>9.3f}"


def image_files(paths: list[Path]) -> list[Path]:
    """Return the picture files that paths stand for, those of folders in the order of their names.

    Raises:
        ValueError: none, or a folder without any.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES)
            if not found:
                raise ValueError(f"{path}: no image in this folder ({', '.join(IMAGES)})")
            files += found
        else:
            files.append(path)
    if not files:
        raise ValueError("no page given: name an image file or a folder of them")
    return files


def _reader(package: Path | None, endpoint: str | None, token: str | None, key_file: Path | None) -> Read:
    if (package is None) == (endpoint is None):
        raise ValueError("give either a package (--package DIR) or a served model (--endpoint URL)")
    if package is not None:
        from model.reading import PageReading

        return PageReading.open(package).read
    from serving.client import Client, file_token, static_token

    if (token is None) == (key_file is None):
        raise ValueError("--endpoint: give the server's token (--token) or its key file (--key-file FILE)")
    return Client(endpoint, static_token(token) if token is not None else file_token(key_file)).predict


def _attempt(read: Read, file: Path) -> dict:
    from serving.client import Refused

    try:
        return {"file": str(file), **read(_bytes(file))}
    except Refused:
        raise
    except ValueError as error:
        return {"file": str(file), "error": str(error).removeprefix("image: ")}


def _bytes(file: Path) -> bytes:
    from ecg.paper.files import MAX_BYTES

    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"{file.stat().st_size / 1e6:.0f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB")
        return file.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from None


def _write(path: Path, results: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.writing")
    scratch.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(scratch, path)
