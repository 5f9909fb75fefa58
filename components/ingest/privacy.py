"""Pseudonyms in the place of records' and patients' names, and nothing in the store that gives a name away."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace

from ecg.quality import REASONS
from ecg.records import BadRecord
from ecg.sources.source import Entry
from model.params import SALT_VARIABLE, IngestParams

MIN_SALT = 16
"""Characters; names of patients are few, so that a guessable salt would let anybody try them all."""
HEX_DIGITS = 20
"""80 bits: a million names meet with a chance of 4e-13."""


def pseudonym(name: str, *, kind: str, salt: str) -> str:
    """Return the pseudonym of a record's or a patient's name: the same for the same salt, on any machine.

    Args:
        name: as the source has it.
        kind: `record` or `patient`; the same name has another pseudonym in each.
        salt: the secret; HMAC-SHA256's key.

    Raises:
        ValueError: the salt is shorter than `MIN_SALT`.
    """
    if len(salt) < MIN_SALT:
        raise ValueError(f"ingest.hash_ids: the salt has {len(salt)} characters; set {SALT_VARIABLE} in the "
                         f"environment to a secret of at least {MIN_SALT}, and keep it: the same salt gives the same "
                         "pseudonyms")
    return kind[0] + hmac.new(salt.encode(), f"{kind}|{name}".encode(), hashlib.sha256).hexdigest()[:HEX_DIGITS]


def disguise(entries: Iterable[Entry | BadRecord], params: IngestParams, salt: str) -> list[Entry | BadRecord]:
    """With `hash_ids`, give every entry its pseudonyms and put them in these' order; the source's own gives names away.

    Raises:
        ValueError: the salt is missing or short.
    """
    if not params.hash_ids:
        return list(entries)
    hidden = []
    for entry in entries:
        entry = replace(entry, record=pseudonym(entry.record, kind="record", salt=salt))
        if isinstance(entry, Entry):
            entry = replace(entry, patient=pseudonym(entry.patient, kind="patient", salt=salt))
        hidden.append(entry)
    return sorted(hidden, key=lambda entry: entry.record)


def hide_details(bad: list[BadRecord], params: IngestParams) -> list[BadRecord]:
    """With `hash_ids`, leave of what is wrong with a record the kind alone: sentences quote files' names and cells."""
    return [replace(record, detail=REASONS[record.reason]) for record in bad] if params.hash_ids else bad
