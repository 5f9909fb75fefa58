"""Label schemes: from a data set's own statements to the findings that a model learns."""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ecg.tables import read_table

PTBXL_SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
"""PTB-XL's five diagnostic superclasses, in the order of its paper (Wagner et al. 2020)."""

PTBXL_SETS = {"superclass": ("diagnostic", "diagnostic_class"), "subclass": ("diagnostic", "diagnostic_subclass"),
              "diagnostic": ("diagnostic", ""), "form": ("form", ""), "rhythm": ("rhythm", ""), "all": ("", "")}
"""For each set: the column that marks its statements, and the column of what they stand for; empty: all, themselves."""

PTBXL_LEVELS = "levels"
"""The set of the superclasses together with the findings of `BELOW`: what a teacher learns who is to know more."""
BELOW = ("subclass", "form", "rhythm")
"""Sets whose findings `PTBXL_LEVELS` has too, named `subclass:LMI`."""

_PLAIN_CODE = re.compile(r"'([^'\\\\]+)': (\d{1,9}\.\d{1,9})")
_PLAIN_CODES = re.compile(rf"\{{{_PLAIN_CODE.pattern}(?:, {_PLAIN_CODE.pattern})*\}}")


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


@dataclass(frozen=True)
class Levels(LabelScheme):
    """A scheme with others below it, whose findings are `set:finding`; a record needs a finding of the scheme's own."""

    below: tuple[tuple[str, LabelScheme], ...] = ()

    def apply(self, statements: Iterable[str]) -> tuple[str, ...]:
        """Return the findings of one record, those of the upper scheme first."""
        statements = tuple(statements)
        own = super().apply(statements)
        return (*own, *(f"{name}:{finding}" for name, scheme in self.below if own
                        for finding in scheme.apply(statements)))


@dataclass(frozen=True, slots=True)
class Reading:
    """What one record's statements come to: its kept findings, what is left aside, and whether it has any finding."""

    kept: tuple[str, ...]
    aside: tuple[str, ...]
    labelled: bool


@dataclass(frozen=True)
class Choice:
    """A scheme of which the findings `names` are kept; counts what it meets and does not keep.

    Raises:
        ValueError: one of `names` is no finding of the scheme, or stands there twice.
    """

    scheme: LabelScheme
    names: tuple[str, ...]
    where: str
    """The scheme's name in messages."""
    left_aside: Counter = field(default_factory=Counter)
    """Statements that the scheme does not know, and findings that are not kept."""

    def __post_init__(self) -> None:
        strange = [name for name in self.names if name not in self.scheme.names]
        if strange:
            raise ValueError(f"ingest.labels: {strange[0]!r} is no {self.where} ({', '.join(self.scheme.names)})")
        if repeated := [name for name, times in Counter(self.names).items() if times > 1]:
            raise ValueError(f"ingest.labels: {repeated[0]!r} stands there more than once; name each finding once")

    def read(self, statements: Iterable[str]) -> tuple[str, ...]:
        """Return one record's kept findings, in the order of `names`."""
        return self.count(self.sort(statements)).kept

    def sort(self, statements: Iterable[str]) -> Reading:
        """Say what statements come to, and count nothing."""
        statements = tuple(statements)
        found = self.scheme.apply(statements)
        aside = (*self.scheme.unknown(statements).elements(), *(name for name in found if name not in self.names))
        return Reading(tuple(name for name in self.names if name in found), aside, bool(found))

    def count(self, reading: Reading) -> Reading:
        """Count what a record leaves aside."""
        if reading.aside:
            self.left_aside.update(reading.aside)
        return reading

    @property
    def unknown(self) -> dict[str, int]:
        """`left_aside`, sorted."""
        return dict(sorted(self.left_aside.items()))


def choose(scheme: LabelScheme, names: tuple[str, ...], where: str) -> Choice:
    """Keep the findings `names` of a scheme, or all of them when `names` is empty."""
    return Choice(scheme, names or scheme.names, where)


def plain_scheme(names: Iterable[str]) -> LabelScheme:
    """The scheme whose statements are the findings themselves."""
    names = tuple(names)
    return LabelScheme(names, {name: name for name in names})


def ptbxl_scheme(path: Path, label_set: str = "superclass") -> LabelScheme:
    """Read one of PTB-XL's sets of findings from its scp_statements.csv, as its benchmark has them.

    A statement stands for itself, or for its class, in the sets whose column marks it with 1, whatever its
    likelihood in a record (Strodthoff et al. 2021, table II).

    Args:
        path: scp_statements.csv.
        label_set: a key of `PTBXL_SETS`: the superclasses in their usual order, the others as the file has them; or
            `PTBXL_LEVELS`.

    Raises:
        ValueError: no such file, or a column is missing.
    """
    if label_set == PTBXL_LEVELS:
        top, below = ptbxl_scheme(path), tuple((name, ptbxl_scheme(path, name)) for name in BELOW)
        names = (*top.names, *(f"{name}:{finding}" for name, scheme in below for finding in scheme.names))
        return Levels(names, top.findings, below)
    column, naming = PTBXL_SETS[label_set]
    rows = read_table(path, required=("diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"))
    findings = {}
    for row in rows:
        statement = next(iter(row.values()))
        marked = not column or row[column].strip() in ("1", "1.0")
        findings[statement] = (row[naming].strip() if naming else statement) if marked else ""
    names = PTBXL_SUPERCLASSES if label_set == "superclass" else tuple(dict.fromkeys(filter(None, findings.values())))
    return LabelScheme(names, findings)


def parse_scp_codes(text: str) -> dict[str, float]:
    """Read PTB-XL's `scp_codes` cell, a Python dict of statement to likelihood.

    Raises:
        ValueError: the cell holds something else.
    """
    if _PLAIN_CODES.fullmatch(text):  # what the file holds; a tenth of the time of Python's parser
        return {code: float(likelihood) for code, likelihood in _PLAIN_CODE.findall(text)}
    try:
        codes = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        codes = None
    if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes):
        raise ValueError(f"scp_codes is {text[:60]!r}, not a dict of statements")
    return codes
