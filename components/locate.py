"""locate: what is found on pictures of pages, as a table, as files, and as pictures to look at."""

import json
from pathlib import Path

import numpy as np

from components.predict import image_files
from components.progress import track
from ecg.files import write_whole
from ecg.paper.files import read_image
from ecg.paper.layout import Layout, layout
from ecg.paper.locate import Located, overlay, to_canonical
from ecg.paper.picture_files import write_picture
from model.params import PageParams


def run(*, images: list[Path], out: Path | None = None, layout_name: str = "3x4+1R",
        json_out: Path | None = None) -> list[dict]:
    """Look for the ECG on pictures and print a line for each.

    Args:
        images: picture files, and folders of them.
        out: folder for NAME.overlay.png and NAME.page.png; None: none are written.
        layout_name: the arrangement expected.
        json_out: file to write the findings to.

    Returns:
        For each picture `{"file": …, …}` of what was found, or `{"file": …, "error": …}`.

    Raises:
        ValueError: no picture is given, or the layout is unknown.
    """
    arranged = layout(layout_name)
    results = []
    if out:
        out.mkdir(parents=True, exist_ok=True)
    print(f"{'file':32} {'px/mm':>7} {'turned':>8} {'sure':>5}  {'scale from':10} rows")
    files = image_files(images)
    for file in track(files, total=len(files), label="locate"):
        results.append(_look(file, arranged, out))
        print(line(results[-1]))
    if json_out:
        write_whole(json_out, json.dumps(results, indent=1) + "\n")
    return results


def line(result: dict) -> str:
    """Return what a person reads about one picture."""
    name = Path(result["file"]).name
    if "error" in result:
        return f"{name:32} {result['error']}"
    said = f"  {'; '.join(result['warnings'])}" if result["warnings"] else ""
    return (f"{name:32} {result['px_per_mm']:7.3f} {result['rotation_deg']:+7.2f}° {result['confidence']:5.0%}  "
            f"{result['scale_from']:10} {result['rows']}{said}")


def _look(file: Path, arranged: Layout, out: Path | None) -> dict:
    page = PageParams()
    try:
        picture = read_image(file)
        found = to_canonical(picture, height=page.height, width=page.width, px_per_mm=page.px_per_mm,
                             page_layout=arranged)
    except ValueError as error:
        return {"file": str(file), "error": str(error).removeprefix(f"{file}: ").removeprefix("image: ")}
    if out:
        write_picture(out / f"{file.stem}.overlay.png", overlay(picture, found), dpi=found.px_per_mm_found * 25.4)
        write_picture(out / f"{file.stem}.page.png", found.image, dpi=page.px_per_mm * 25.4)
    return {"file": str(file), **_plain(found)}


def _plain(found: Located) -> dict:
    return {"px_per_mm": round(found.px_per_mm_found, 4), "rotation_deg": round(found.rotation_deg, 3),
            "confidence": round(found.confidence, 3), "scale_from": found.scale_from, "rows": len(found.rows),
            "corners": np.round(found.corners, 1).tolist(), "homography": found.homography.tolist(),
            "warnings": list(found.warnings)}
