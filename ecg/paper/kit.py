"""Labels in the keys of ecg-image-kit's configuration files, so that whatever reads those reads ours.

The keys are those that its generator writes (Shivashankara et al. 2024, arXiv 2307.01946). Points are [row, column];
boxes hold the corners "0" to "3" clockwise from the upper left. The long strip counts as a lead like the others.
"""

from ecg.paper.annotation import PageLabels, TraceLabel
from ecg.paper.draw import DrawnPage
from ecg.paper.print_style import GRIDS, PENS

MM_PER_INCH = 25.4


def kit_labels(page: DrawnPage) -> dict:
    """Return the labels of a page as ecg-image-kit's JSON has them.

    `x_grid` and `y_grid` are pixels of a 5 mm square at the middle of the traces; `rotate` and the other effects are
    as they were drawn, in our own names, under `capture`.
    """
    labels, style, layout = page.labels, page.sheet.style, page.sheet.layout
    paper, major = GRIDS[style.grid]
    square = round(5 * labels.px_per_mm, 3)
    minor = [round(p + style.minor * (m - p), 2) for p, m in zip(paper, major, strict=True)]
    return {
        "sampling_frequency": labels.sampling_rate, "width": labels.width, "height": labels.height,
        "grid_line_color_major": list(map(float, major)), "grid_line_color_minor": minor,
        "ecg_plot_color": list(map(float, PENS[style.pen])),
        "leads": [_lead(trace, labels) for trace in labels.traces],
        "x_grid": square, "y_grid": square, "resolution": round(labels.px_per_mm * MM_PER_INCH), "pad_inches": 0,
        "dc_pulse": style.pulse != "none", "bw": style.grid in ("grey", "none"), "gridlines": style.grid != "none",
        "printed_text": style.header, "number_of_columns_in_image": len(layout.rows[0]),
        "full_mode_lead": layout.rhythm[0] if layout.rhythm else "None",
        "capture": {"kind": page.captured.kind, **page.captured.parameters} if page.captured else {"kind": "clean"}}


def _lead(trace: TraceLabel, labels: PageLabels) -> dict:
    first = round(trace.start * labels.sampling_rate)
    entry = {"lead_name": trace.lead, "start_sample": first, "end_sample": first + len(trace.points),
             "plotted_pixels": [[round(y, 2), round(x, 2)] for x, y in trace.points.tolist()
                                if x == x and y == y]}
    for key, box in (("text_bounding_box", trace.name_box), ("lead_bounding_box", trace.box)):
        if box:
            left, top, right, bottom = (int(side) for side in box)
            entry[key] = {"0": [top, left], "1": [top, right], "2": [bottom, right], "3": [bottom, left]}
    return entry
