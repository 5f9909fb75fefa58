"""What predict writes for others: a table for spreadsheets, a page for people."""

import csv
import io
from pathlib import Path

from ecg.files import write_whole

COLUMNS = ("file", "page", "label", "probability", "threshold", "present", "calibrated", "plausible",
           "doubtful", "warnings", "model", "version",
           "error")


def write_csv(path: Path, results: list[dict]) -> None:
    """Write a row a finding, and a row for each page that was not read."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for result in results for row in _rows(result))
    write_whole(path, out.getvalue())


def write_html(path: Path, results: list[dict]) -> None:
    """Write one page with everything in it: nothing is loaded from elsewhere, and it prints."""
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    flat = [{"file": result["file"], **page} for result in results for page in result.get("pages", [result])]
    write_whole(path, environment.get_template("predict.html").render(pages=flat))


def _rows(result: dict) -> list[dict]:
    rows = []
    for page in result.get("pages", [result]):
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
