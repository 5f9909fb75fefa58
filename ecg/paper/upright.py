"""Which side of a straightened page is up."""


from ecg.paper.strokes import STROKE_MM, Strokes

_CLEARLY = 1.5


def quarter_turns(strokes: Strokes) -> tuple[int, bool]:
    """Return by how many quarters counterclockwise the page must be turned, and whether that is sure.

    Traces are connected ink much wider than high.
    """
    scale = strokes.scale
    long = STROKE_MM * scale
    lying = strokes.widths[1:][(strokes.widths >= long)[1:] & (strokes.widths > 1.5 * strokes.heights)[1:]].sum()
    standing = strokes.heights[1:][(strokes.heights >= long)[1:] & (strokes.heights > 1.5 * strokes.widths)[1:]].sum()
    if standing > _CLEARLY * lying:
        return 1, False
    return 0, True
