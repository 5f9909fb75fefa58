"""What predict writes for others: a table for spreadsheets, a page for people."""

import base64
import csv
import io
from pathlib import Path

import cv2
import numpy as np

from ecg.files import write_whole
from model.file_reading import pages_of, undecided
from serving.web.words import words

COLUMNS = ("file", "page", "label", "probability", "threshold", "present", "calibrated", "plausible",
           "doubtful", "warnings", "model", "version",
           "error")
CAPTIONS = {"page_png": "The traces as they were cut out and straightened.", "why_png": "Red: what spoke most for"}
"""The pictures that the page for people shows."""
QUALITY = 80
"""Of those pictures as WebP: a tenth of the PNG's bytes."""


def write_csv(path: Path, results: list[dict]) -> None:
    """Write a row a finding, and a row for each page that was not read."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for result in results for row in _rows(result))
    write_whole(path, out.getvalue())


def take_pictures(result: dict) -> list[dict]:
    """Take the pictures out of a file's answer, so that a folder's need not be held whole; returns a dict a page.

    A page's dict holds the pictures of `CAPTIONS` as data URLs of WebP, and `label`, the finding that is explained;
    it is empty for a page that was not read.
    """
    taken = []
    for page in pages_of(result):
        explain = page.pop("explain", {})
        taken.append({name: _webp(value) if name in CAPTIONS else value for name, value in explain.items()
                      if name in (*CAPTIONS, "label")})
    return taken


def write_html(path: Path, results: list[dict], pictures: list[list[dict]]) -> None:
    """Write one page with everything in it: nothing is loaded from elsewhere, and it prints.

    Args:
        path: of the file.
        results: the files' answers.
        pictures: what `take_pictures` took out of each.
    """
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    shown = [_shown(result["file"], page, taken) for result, of_file in zip(results, pictures, strict=True)
             for page, taken in zip(pages_of(result), of_file, strict=True)]
    write_whole(path, environment.get_template("predict.html").render(pages=shown, captions=CAPTIONS))


def title(file: str, page: dict) -> str:
    """Return a page's name for people: its file, and its number where the file has several."""
    place = page.get("page", {})
    return f"{file}, page {place['number']} of {place['of']}" if place.get("of", 1) > 1 else file


def _shown(file: str, page: dict, taken: dict) -> dict:
    findings = sorted(map(_finding, page.get("findings", [])), key=lambda one: (-one["present"], -one["chance"]))
    return {**page, "title": title(file, page), "shown": findings,
            "reported": [one["name"] for one in findings if one["present"]],
            "pictures": {name: taken[name] for name in CAPTIONS if name in taken},
            "explained": words().get(taken.get("label"), taken.get("label"))}


def _finding(finding: dict) -> dict:
    """Say about a finding what the web page says (static/words.js)."""
    chance, bound = (100 * finding.get(f"calibrated{of}", finding[plain])
                     for of, plain in (("", "probability"), ("_threshold", "threshold")))
    said = "reported" if finding["present"] else "not reported"
    start = f"Uncertain, {said}" if undecided(finding) else said.capitalize()
    return {**finding, "name": words().get(finding["label"], finding["label"]), "chance": round(chance, 1),
            "bound": round(bound, 1), "verdict": f"{start}: {chance:.0f}\u00a0% likely (threshold {bound:.0f}\u00a0%)"}


def _webp(png: str) -> str:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)
    data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1]
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def _rows(result: dict) -> list[dict]:
    rows = []
    for page in pages_of(result):
        place = page.get("page", {})
        where = {"file": result["file"], "page": place.get("number", 1)}
        if "error" in page:
            rows.append({**where, "error": page["error"]})
            continue
        about = {**where, "doubtful": place["doubtful"], "warnings": "; ".join(place["warnings"]),
                 "model": page["model"]["name"], "version": page["version"]}
        # A set of nothing is no empty field: that one means that the package knows no sets.
        rows += [{**about, **finding, **({"plausible": " or ".join(finding["plausible"]) or "neither"}
                                         if "plausible" in finding else {})} for finding in page["findings"]]
    return rows
