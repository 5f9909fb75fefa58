"""Who holds an alias in the MLflow registry, how it moves, and the history of moves.

MLflow sets an alias whatever it pointed to before, and keeps no history. So each champion is first entered in a
ledger, a registered model `<name>.moves` whose versions are the entries: the server numbers versions one after the
other and never gives a number twice, which makes the ledger an order of all claims. An entry names the entry that
it follows, and counts only if that was the last one that counts; of two claims at once, made by people who saw the
same champion, the one with the lower number wins and the other is void. Everybody who reads the ledger comes to the
same result. The aliases follow it; an alias that somebody set by hand in MLflow's pages is entered when it is seen.
"""

import getpass
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous_champion"
LEDGER = ".moves"
MOVE = "move."
SETTLED = "settled"
IN_FLIGHT_S = 60.0
"""An entry whose aliases were not set within this time was left by somebody who crashed."""
ATTEMPTS = 20
"""Of an entry in a registry that many write to at once; the server itself tries three times."""


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger: who became champion after whom."""

    number: int
    after: int
    """Number of the entry that it follows; 0 for the first."""
    before: str
    """The version that was champion; empty when there was none."""
    to: str
    actor: str
    at: str
    why: str
    settled: bool = False
    """Whether the aliases were set."""


@dataclass(frozen=True)
class Standing:
    """What somebody saw who then decides to promote: the last entry that counts, and the champion."""

    number: int
    champion: str
    """Version; empty where there is none."""
    by_hand: bool = False
    """The alias is not where the last entry put it: somebody moved it in MLflow."""


class Lost(ValueError):
    """Another promotion came first."""


def holder(client, name: str, alias: str):
    """Return the model version that holds an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def held_by(client, name: str, alias: str) -> str:
    """Return the version that holds an alias, empty when none does."""
    version = holder(client, name, alias)
    return "" if version is None else str(version.version)


def version_of(client, name: str, version: str):
    """Return a registered version.

    Raises:
        ValueError: the registry has no such version.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ValueError(f"{name} version {version}: not in this registry; see tracking.uri, or run "
                         "'vizecg register'") from None


def move(client, name: str, alias: str, version: str, *, why: str, before: str | None = None) -> None:
    """Set an alias and append the move to the version's tags, where nothing ever changes or removes it."""
    before = held_by(client, name, alias) if before is None else before
    client.set_registered_model_alias(name, alias, version)
    append(client, name, version, {"alias": alias, "from": before, "to": str(version), "actor": actor(), "why": why})


def append(client, name: str, version: str, what: dict[str, str]) -> None:
    """Write a move down as a tag of its own."""
    at = now()
    client.set_model_version_tag(name, version, f"{MOVE}{at:%Y%m%dT%H%M%S.%fZ}",
                                 json.dumps({"at": at.isoformat(timespec="seconds"), **what}))


def moves_of(version) -> list[dict]:
    """Return the moves in a version's tags, the oldest first."""
    return [json.loads(text) for key, text in sorted(version.tags.items()) if key.startswith(MOVE)]


def ledger(client, name: str) -> list[Entry]:
    """Return the entries that count, the oldest first."""
    found = sorted((_entry(version) for version in _search(client, name + LEDGER)), key=lambda entry: entry.number)
    valid: list[Entry] = []
    for entry in found:
        if entry.after == (valid[-1].number if valid else 0):
            valid.append(entry)
    return valid


def standing(client, name: str) -> Standing:
    """Look at the ledger and at the alias; a promotion that was left half done is finished first.

    Raises:
        Lost: another promotion is being made at this moment.
    """
    entries, champion = ledger(client, name), held_by(client, name, CHAMPION)
    if not entries:
        return Standing(0, champion)
    last = entries[-1]
    if not last.settled:
        age = (now() - datetime.fromisoformat(last.at)).total_seconds()
        if age < IN_FLIGHT_S:
            raise Lost(f"{name}: {last.actor} is making version {last.to} the champion at this moment; look at "
                       "'vizecg models' and try again")
        settle(client, name)
        return standing(client, name)
    return Standing(last.number, champion, by_hand=champion != last.to)


def crown(client, name: str, version: str, *, why: str, seen: Standing | None = None) -> str | None:
    """Make a version the champion and the one before it the previous champion, as `enter` and `settle` do."""
    before = enter(client, name, version, why=why, seen=seen)
    settle(client, name)
    return before


def enter(client, name: str, version: str, *, why: str, seen: Standing | None = None) -> str | None:
    """Enter a version as the champion, if nobody else did meanwhile; the aliases follow with `settle`.

    Args:
        client: MLflow's.
        name: of the registered model.
        version: the new champion.
        why: for the history.
        seen: what the decision was based on; what stands now where it is None.

    Returns:
        The version before; None when there was none or it is the same one.

    Raises:
        Lost: another promotion came first; nothing was changed.
    """
    seen = standing(client, name) if seen is None else seen
    if seen.by_hand:
        seen = adopt(client, name, seen)
    if seen.champion == version:
        return None
    _claim(client, name, Entry(0, seen.number, seen.champion, version, actor(), now().isoformat(), why))
    return seen.champion or None


def adopt(client, name: str, seen: Standing) -> Standing:
    """Enter a champion whose alias was set by hand, so that the history and the previous champion are right.

    Raises:
        Lost: another promotion came first.
    """
    if not seen.by_hand:
        return seen
    last = ledger(client, name)[-1]
    number = _claim(client, name, Entry(0, seen.number, last.to, seen.champion, actor(), now().isoformat(),
                                        "alias set by hand in MLflow"))
    settle(client, name)
    return Standing(number, seen.champion)


def settle(client, name: str) -> None:
    """Set the aliases to what the ledger says, again where it grew meanwhile, and write the move into the tags."""
    if not ledger(client, name):
        return
    while True:
        last = ledger(client, name)[-1]
        if last.to:
            client.set_registered_model_alias(name, CHAMPION, last.to)
        if last.before:
            client.set_registered_model_alias(name, PREVIOUS, last.before)
        if last.to == held_by(client, name, CHALLENGER):
            client.delete_registered_model_alias(name, CHALLENGER)
        if ledger(client, name)[-1].number == last.number:
            break
    if last.settled:
        return
    about = {"actor": last.actor, "why": last.why, "entry": str(last.number)}
    if last.before:
        append(client, name, last.before, {"alias": PREVIOUS, "from": "", "to": last.before, **about})
    if last.to:
        append(client, name, last.to, {"alias": CHAMPION, "from": last.before, "to": last.to, **about})
    client.set_model_version_tag(name + LEDGER, str(last.number), SETTLED, "yes")


def actor() -> str:
    """Who acts: the user and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # containers run as a number that has no name there
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def now() -> datetime:
    return datetime.now(UTC)


def _claim(client, name: str, entry: Entry) -> int:
    """Enter a claim; returns its number.

    Raises:
        Lost: it does not count.
    """
    _open_ledger(client, name)
    number = _append_entry(client, name, entry)
    entries = ledger(client, name)
    if number not in [known.number for known in entries]:
        first = next(known for known in entries if known.after == entry.after)
        raise Lost(f"{name}: version {entry.to} was not made champion: {first.actor} made version {first.to} the "
                   f"champion at {first.at[:19]} ({first.why}); look at 'vizecg models' and try again")
    return number


def _append_entry(client, name: str, entry: Entry) -> int:
    from mlflow.exceptions import MlflowException

    tags = {key: str(value) for key, value in asdict(entry).items() if key not in ("number", SETTLED)}
    for attempt in range(ATTEMPTS):
        try:
            # A version needs a source; that of the model it is about is at hand in every registry.
            source = f"models:/{name}/{entry.to or entry.before}"
            return int(client.create_model_version(name + LEDGER, source, tags=tags).version)
        except MlflowException as error:
            if error.error_code != "INTERNAL_ERROR" or attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.05 * (attempt + 1))
    raise AssertionError("unreachable")


def _open_ledger(client, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name + LEDGER, description=f"Who became champion of {name}, and why: one "
                                       "version an entry. Written by vizecg; do not edit.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _search(client, name: str) -> list:
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _entry(version) -> Entry:
    tags = version.tags
    return Entry(int(version.version), int(tags["after"]), tags["before"], tags["to"], tags["actor"], tags["at"],
                 tags["why"], SETTLED in tags)
