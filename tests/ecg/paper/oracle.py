"""What an exact pen leaves of a polyline: Skia's stroke, drawn many times larger and averaged down."""

import cv2
import numpy as np
import skia


def coverage(y: np.ndarray, *, x0: float, dx: float, radius: float, height: int, width: int, over: int) -> np.ndarray:
    """The inked share of each pixel, float64 (height, width), 0-1.

    Args:
        y: rows of the samples; NaN is a gap.
        x0: column of the first sample.
        dx: pixels between samples.
        radius: of the round pen.
        height: of the page.
        width: of the page.
        over: how many times larger to draw; an edge's error is about 1 / (4 over) of a pixel.
    """
    large = np.zeros((height * over, width * over), np.uint8)
    info = skia.ImageInfo.Make(large.shape[1], large.shape[0], skia.kAlpha_8_ColorType, skia.kPremul_AlphaType)
    canvas = skia.Surface.MakeRasterDirect(info, large, large.strides[0]).getCanvas()
    canvas.scale(over, over)
    paint = skia.Paint(AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=2 * radius,
                       StrokeCap=skia.Paint.kRound_Cap, StrokeJoin=skia.Paint.kRound_Join)
    known = np.flatnonzero(np.isfinite(y))
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        path = skia.Path()
        for k in run:
            (path.lineTo if k > run[0] else path.moveTo)(x0 + float(k) * dx, float(y[k]))
        if len(run) == 1:
            path.lineTo(x0 + float(run[0]) * dx, float(y[run[0]]))
        canvas.drawPath(path, paint)
    return cv2.resize(large.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA).astype(float) / 255
