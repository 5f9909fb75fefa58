"""Label schemes: from a data set's own statements to the findings that a model learns."""

import ast
import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PTBXL_SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
"""PTB-XL's five diagnostic superclasses, in the order of its paper (Wagner et al. 2020)."""


@dataclass(frozen=True)
class LabelScheme:
    """Which findings are kept, and which of a source's statements stand for which finding.

    `findings` maps a statement to its finding, or to "" where the scheme knows the statement and gives
    it none (such as PTB-XL's rhythm statements among the superclasses).
    """

    names: tuple[str, ...]
    findings: dict[str, str]

    def apply(self, statements: Iterable[str]) -> tuple[str, ...]:
        """Return the findings of one record, each once, in the order of `names`."""
        found = {self.findings.get(statement, "") for statement in statements}
        return tuple(name for name in self.names if name in found)

    def unknown(self, statements: Iterable[str]) -> Counter:
        """Count the statements that the scheme does not know."""
        return Counter(statement for statement in statements if statement not in self.findings)


def plain_scheme(names: Iterable[str]) -> LabelScheme:
    """The scheme whose statements are the findings themselves."""
    names = tuple(names)
    return LabelScheme(names, {name: name for name in names})


def ptbxl_superclasses(path: Path) -> LabelScheme:
    """Read PTB-XL's superclasses from its scp_statements.csv.

    A statement stands for its `diagnostic_class` where `diagnostic` is 1, whatever its likelihood in a
    record, as in the official benchmark (Strodthoff et al. 2021, task "superdiagnostic").

    Raises:
        ValueError: no such file, or a column is missing.
    """
    rows = read_table(path, required=("diagnostic", "diagnostic_class"))
    findings = {}
    for row in rows:
        statement = next(iter(row.values()))
        diagnostic = row["diagnostic"].strip() in ("1", "1.0")
        findings[statement] = row["diagnostic_class"].strip() if diagnostic else ""
    return LabelScheme(PTBXL_SUPERCLASSES, findings)


def parse_scp_codes(text: str) -> dict[str, float]:
    """Read PTB-XL's `scp_codes` cell, a Python dict of statement to likelihood.

    Raises:
        ValueError: the cell holds something else.
    """
    try:
        codes = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        codes = None
    if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes):
        raise ValueError(f"scp_codes is {text[:60]!r}, not a dict of statements")
    return codes


def read_table(path: Path, *, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file with a header line, every cell as text.

    Raises:
        ValueError: no such file, not UTF-8, no rows, a missing column, or a row of another length.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; is the folder of the data right (ingest.data)?") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from None
    missing = [name for name in required if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(required)}")
    if not rows:
        raise ValueError(f"{path}: holds no rows below its header")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{path}: row {number} has another number of cells than the header")
    return rows
