"""A person's word against the gate: recorded with name, reason and time, or it does not count."""

from dataclasses import dataclass
from datetime import UTC, datetime

LIMIT = 500
"""Characters of a name or a reason that a registry keeps."""
TAGS = ("override_by", "override_reason", "override_at")


@dataclass(frozen=True)
class Override:
    """Who lets a model through that the gate refused, and why."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        for name, value in (("--override-by", self.by), ("--override-reason", self.reason)):
            if not value.strip() or len(value) > LIMIT or not value.isprintable():
                raise ValueError(f"{name}: must be one line of 1 to {LIMIT} characters, not {value[:40]!r}")

    def record(self) -> dict[str, str]:
        """The tags of a model version, and the field `override` of its decision."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return dict(zip(TAGS, (self.by, self.reason, at), strict=True))


def override_of(by: str | None, reason: str | None) -> Override | None:
    """Return the override of a command line, None where neither option was given.

    Raises:
        ValueError: one was given without the other.
    """
    if by is None and reason is None:
        return None
    if by is None or reason is None:
        raise ValueError("--override-by and --override-reason: give both, who lets the model through and why")
    return Override(by, reason)


def is_recorded(tags: dict[str, str]) -> bool:
    """Whether the tags of a version hold a whole override."""
    return all(tags.get(name, "").strip() for name in TAGS)
