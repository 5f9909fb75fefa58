"""What a cart prints around the traces: an invented patient, measurements and a device. Nobody of them lives.

The measurements are drawn by chance too, and know nothing of the record: a page must not give its finding away.
"""

from dataclasses import dataclass

import numpy as np

_NAMES = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Oak", "Pine", "Rowan",
          "Spruce", "Willow", "Yew")
_WARDS = ("Ward 3", "Emergency", "Cardiology", "Outpatients", "ICU 2", "Ambulance", "")
_MAKERS = ("CardioPrint", "EKG-Line", "Pulsar", "Northwave", "HeartJet")


@dataclass(frozen=True)
class Header:
    """Lines of text at the top of a page in columns from left to right, and the device's name for its foot."""

    columns: tuple[tuple[str, ...], ...]
    device: str = ""


def invent_header(rng: np.random.Generator) -> Header:
    """Invent a patient, a visit and measurements; the generator's state decides."""
    rate, pr, qrs = int(rng.integers(48, 115)), int(rng.integers(118, 215)), int(rng.integers(76, 125))
    qtc = int(rng.integers(375, 465))
    p, r, t = (int(rng.integers(low, high)) for low, high in ((-10, 80), (-40, 100), (-10, 90)))
    date = f"{rng.integers(1, 29):02d}-{rng.integers(1, 13):02d}-20{rng.integers(5, 26):02d}"
    who = (f"{rng.choice(_NAMES)}, {chr(65 + int(rng.integers(26)))}.", f"ID {rng.integers(10**6, 10**8)}",
           f"{rng.integers(18, 95)} years  {rng.choice(('M', 'F'))}")
    # Bazett (1920): QTc = QT / sqrt(RR).
    measured = (f"Rate {rate} bpm", f"PR {pr} ms   QRS {qrs} ms", f"QT/QTc {round(qtc * (60 / rate) ** 0.5)}/{qtc} ms",
                f"P-R-T {p} {r} {t}")
    visit = (f"{date}  {rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}", str(rng.choice(_WARDS)), "Unconfirmed")
    device = f"{rng.choice(_MAKERS)} {rng.integers(100, 9000)}  v{rng.integers(1, 9)}.{rng.integers(0, 30)}"
    return Header((who, measured, visit), device)
