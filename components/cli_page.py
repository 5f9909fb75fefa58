"""The verbs about pages: draw them, find them on a picture, show what can be drawn."""

import argparse
from dataclasses import asdict
from pathlib import Path

from components.cli_verb import Verb

GALLERY = Path("docs/gallery")


def _page_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORD",
                        help="WFDB records, folders of them, or record stores")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write")
    _look_arguments(parser.add_argument_group("the page"))
    files = parser.add_argument_group("the files")
    files.add_argument("--format", default="png", metavar="KIND", help="png, jpg, tiff or pdf (png)")
    files.add_argument("--labels", action="store_true", help="write NAME.json (sample points, boxes, transform) and "
                       "NAME.masks.png (bit i: trace i)")
    files.add_argument("--kit", action="store_true", help="write what ecg-image-kit writes: NAME-0.png, "
                       "NAME-0.json with its keys, the record beside")
    files.add_argument("--copies", type=int, default=1, metavar="N", help="pictures a record, each sampled anew (1)")
    files.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (one a core)")


def _look_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--layout", default="3x4+1R", metavar="NAME",
                       help="3x4, 3x4+1R, +2R, +3R, 6x2, 6x2+1R, 12x1, 6x2-cabrera, 6x2+1R-cabrera, 12x1-cabrera, "
                       "sampled (3x4+1R)")
    group.add_argument("--rhythm", type=lambda text: tuple(text.split(",")), metavar="LEAD,...",
                       help="leads of the rhythm strips")
    group.add_argument("--synchronous", action="store_true", help="all columns show the same seconds")
    group.add_argument("--speed", type=float, default=25.0, metavar="MM/S", help="25 or 50 (25)")
    group.add_argument("--gain", type=float, default=10.0, metavar="MM/MV", help="5, 10 or 20 (10)")
    group.add_argument("--half-gain-v", action="store_true", help="chest leads at half the gain")
    group.add_argument("--style", default="pink", metavar="NAME[,FIELD=VALUE...]",
                       help="pink, red, brown, orange, green, blue, grey, plain, strip, sampled (pink); fields such as "
                       "pen_mm=0.3,pulse=right")
    group.add_argument("--capture", default="clean", metavar="KIND",
                       help="clean, scan, photo, screen, fax, photocopy, sampled (clean)")
    group.add_argument("--strength", type=float, default=1.0, metavar="X", help="of the capture: 0 none, 1 usual (1)")
    group.add_argument("--marks", type=float, default=0.0, metavar="X", help="stains, stamps and pen marks: 0-1 (0)")
    group.add_argument("--dpi", type=float, default=200.0, metavar="N", help="of the printed page, 30-1200 (200)")
    group.add_argument("--size", type=_size, metavar="WxH", help="of the picture in pixels (the page's own)")
    group.add_argument("--start", type=float, default=0.0, metavar="S", help="second at which the page begins (0)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of everything sampled (0)")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}: give width x height in pixels, such as 1024x768")
    return int(height), int(width)


def _page(arguments: argparse.Namespace) -> int:
    from components.page import run
    from ecg.paper.draw import PageOptions

    if arguments.copies < 1 or arguments.jobs < 0:
        raise ValueError("--copies must be 1 or more, --jobs 0 or more")
    options = PageOptions(layout=arguments.layout, rhythm=arguments.rhythm, sequential=not arguments.synchronous,
                          mm_per_s=arguments.speed, mm_per_mv=arguments.gain, half_gain_v=arguments.half_gain_v,
                          style=arguments.style, capture=arguments.capture, strength=arguments.strength,
                          marks=arguments.marks, dpi=arguments.dpi, size=arguments.size, start=arguments.start,
                          seed=arguments.seed)
    result = run(records=arguments.records, out=arguments.out, options=options, ending=arguments.format,
                 labels=arguments.labels, kit=arguments.kit, copies=arguments.copies, jobs=arguments.jobs)
    _say("page", result)
    return 2 if result.quarantined else 0


def _locate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files, or folders of them")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR",
                        help="folder for NAME.overlay.png (what was found) and NAME.page.png (what the model reads)")
    parser.add_argument("--layout", default="3x4+1R", metavar="NAME", help="arrangement expected (3x4+1R)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write the findings to")


def _locate(arguments: argparse.Namespace) -> int:
    from components.locate import run

    results = run(images=arguments.images, out=arguments.out, layout_name=arguments.layout, json_out=arguments.json)
    return 2 if any("error" in result for result in results) else 0


def _gallery_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--out", type=Path, default=GALLERY, metavar="DIR", help=f"folder to write ({GALLERY})")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="of the record and of what is sampled (7)")


def _gallery(arguments: argparse.Namespace) -> None:
    from components.gallery import run

    _say("gallery", run(out=arguments.out, seed=arguments.seed))


def _say(name: str, result) -> None:
    print(f"{name}: " + ", ".join(f"{key}={value}" for key, value in asdict(result).items()))


PAGE_VERBS = (
    Verb("page", "draw records as a cart prints them and a scanner or a phone sees them, with labels",
         "vizecg page archive/ -o pages --layout 6x2 --style sampled --capture photo --labels",
         _page_arguments, _page),
    Verb("locate", "find the ECG on pictures: grid, rotation, traces, and what the model would read",
         "vizecg locate scan.jpg -o found", _locate_arguments, _locate),
    Verb("gallery", "draw the gallery of layouts, styles and captures", f"vizecg gallery -o {GALLERY}",
         _gallery_arguments, _gallery),
)
