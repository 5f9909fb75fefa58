"""Files as carts export them, written byte by byte from the public standards, for the tests of their source."""

import binascii
import struct
from pathlib import Path

import numpy as np

from ecg.leads import LEADS

SCP_CODE = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
"""Of the lead table of EN 1064 (section 3)."""
DEFAULT_HUFFMAN = 19999


def write_scp(path: Path, signal_mv: np.ndarray, *, leads=LEADS, rate: int = 500, nanovolt: int = 1000,
              differences: int = 0, huffman: bool = False, starts=None, patient: str = "H-4711") -> Path:
    """Write an SCP-ECG record: sections 0, 1, 3, 6 and, with the default table, 2.

    Args:
        signal_mv: shape (len(leads), T).
        differences: 0 amplitudes, 1 first, 2 second differences.
        starts: each lead's first sample, from 1.
    """
    steps = np.rint(signal_mv * 1e6 / nanovolt).astype(np.int64)
    steps = np.concatenate([steps[:, :differences], np.diff(steps, n=differences, axis=1)], axis=1)
    chunks = [_huffman(row) if huffman else row.astype("<i2").tobytes() for row in steps]
    chunks = [chunk + b"\0" * (len(chunk) % 2) for chunk in chunks]
    first = starts or [1] * len(leads)
    count = steps.shape[1]
    lead_table = struct.pack("<BB", len(leads), 0x04 | len(leads) << 3) + b"".join(
        struct.pack("<IIB", begin, begin + count - 1, SCP_CODE[lead])
        for begin, lead in zip(first, leads, strict=True))
    rhythm = struct.pack("<HHBB", nanovolt, 1_000_000 // rate, differences, 0) + struct.pack(
        f"<{len(leads)}H", *map(len, chunks)) + b"".join(chunks)
    sections = {1: _patient(patient), 3: lead_table, 6: rhythm}
    if huffman:
        sections[2] = struct.pack("<H", DEFAULT_HUFFMAN)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_record(sections))
    return path


def _patient(patient: str) -> bytes:
    """Section 1: names, id, age in years, sex, date of the recording."""
    def tag(number: int, value: bytes) -> bytes:
        return struct.pack("<BH", number, len(value)) + value

    return b"".join([tag(0, b"Mustermann\0"), tag(1, b"Erika\0"), tag(2, patient.encode() + b"\0"),
                     tag(4, struct.pack("<HB", 56, 1)), tag(8, b"\x02"), tag(25, struct.pack("<HBB", 2020, 5, 12)),
                     tag(26, bytes([12, 33, 59])), tag(255, b"")])


def _record(sections: dict[int, bytes]) -> bytes:
    pointers = 12
    bodies = {number: body + b"\0" * (len(body) % 2) for number, body in sorted(sections.items())}
    at = 6 + 16 + 10 * pointers
    table = struct.pack("<HII", 0, 16 + 10 * pointers, 7)
    for number in range(1, pointers):
        length = 16 + len(bodies[number]) if number in bodies else 0
        table += struct.pack("<HII", number, length, at + 1 if length else 0)
        at += length
    parts = [_section(0, table, b"SCPECG"), *(_section(number, body) for number, body in bodies.items())]
    rest = struct.pack("<I", 6 + sum(map(len, parts))) + b"".join(parts)
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _section(number: int, body: bytes, reserved: bytes = b"\0" * 6) -> bytes:
    rest = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _huffman(values: np.ndarray) -> bytes:
    """Encode with the standard's default table: 0; 1 to 8 in unary with a sign; 8 and 16 bits behind long prefixes."""
    bits = "".join("0" if v == 0 else "1" * abs(v) + "0" + "01"[v < 0] if abs(v) <= 8 else
                   "1111111110" + f"{v & 0xFF:08b}" if -128 <= v < 128 else "1111111111" + f"{v & 0xFFFF:016b}"
                   for v in map(int, values))
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def write_aecg(path: Path, signal_mv: np.ndarray, *, leads=LEADS, rate: float = 500, microvolt: float = 2.5,
               origin: float = 0.0, unit: str = "uV", extra: str = "") -> Path:
    """Write an annotated ECG (ANSI/HL7 V3 ECG R1): one rhythm series, a time base and a sequence for each lead."""
    sequences = []
    for lead, row in zip(leads, signal_mv, strict=True):
        digits = " ".join(str(v) for v in np.rint((row * 1000 - origin) / microvolt).astype(int))
        sequences.append(f"""<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"
          codeSystem="2.16.840.1.113883.6.24"/><value xsi:type="SLIST_PQ"><origin value="{origin}" unit="{unit}"/>
          <scale value="{microvolt}" unit="{unit}"/><digits>{digits}</digits></value></sequence></component>""")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"""<?xml version="1.0" encoding="UTF-8"?>
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/><code code="93000" codeSystem="2.16.840.1.113883.6.12"/>
 <effectiveTime><low value="20200512123359"/><high value="20200512123409"/></effectiveTime>{extra}
 <componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
  <id root="2.16.840.1.113883.3.1" extension="H-4711"/><subjectDemographicPerson>
  <name><family>Mustermann</family></name><administrativeGenderCode code="F"/><birthTime value="19640101"/>
  </subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
 <component><series><id root="1.2.3"/><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>
  <effectiveTime><low value="20200512123359"/><high value="20200512123409"/></effectiveTime>
  <author><seriesAuthor><manufacturedSeriesDevice><id root="1.2.3.4"/><manufacturerModelName>Cart 9
  </manufacturerModelName></manufacturedSeriesDevice></seriesAuthor></author>
  <component><sequenceSet>
   <component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="GLIST_TS">
   <head value="20200512123359"/><increment value="{1 / rate:.9g}" unit="s"/></value></sequence></component>
   {''.join(sequences)}
  </sequenceSet></component></series></component>
</AnnotatedECG>
""", encoding="utf-8")
    return path
