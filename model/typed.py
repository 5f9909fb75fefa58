"""Typed parameters: frozen dataclasses from plain values, unknown keys and wrong types refused by name."""

import dataclasses
import typing
from typing import Literal

import yaml


def from_dict(cls: type, raw: dict, where: str = ""):
    """Build a params dataclass from plain values (YAML, JSON, or Kubeflow's, where ints arrive as floats).

    Raises:
        ValueError: naming the field, what it holds and what it must be.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"{where or 'params'}: must be a section of keys, not {raw!r}")
    hints = typing.get_type_hints(cls)
    for key in raw:
        if key not in hints:
            raise ValueError(f"{_join(where, key)}: unknown key; {where or 'the file'} has {', '.join(hints)}")
    return cls(**{key: _coerce(value, hints[key], _join(where, key)) for key, value in raw.items()})


def as_dict(params) -> dict:
    """The plain values of a params dataclass: lists for tuples, ready for YAML, JSON or a hash."""
    return {f.name: _plain(getattr(params, f.name)) for f in dataclasses.fields(params)}


def _plain(value):
    if dataclasses.is_dataclass(value):
        return as_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def override(raw: dict, text: str) -> None:
    """Write `section.key=value` into plain values."""
    key, equals, value = text.partition("=")
    *sections, name = key.split(".")
    if not equals or not name:
        raise ValueError(f"--set {text}: write section.key=value")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ValueError(f"--set {text}: {section} is no section")
    raw[name] = yaml.safe_load(value)


def _coerce(value, hint, where: str):
    """Return `value` as the type `hint` says; whole floats count as ints, lists as tuples."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    if origin is tuple:
        check(isinstance(value, list | tuple), where, f"must be a list, not {value!r}")
        return tuple(_coerce(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        value = int(value) if isinstance(value, float) and value.is_integer() else value
        check(value in arguments, where, f"must be one of {', '.join(map(str, arguments))}, not {value!r}")
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    right = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    check(right, where, f"must be {hint.__name__}, not {value!r}")
    return value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else str(key)


def check(condition: bool, where: str, message: str) -> None:
    """Raise ValueError, the field first, unless the condition holds."""
    if not condition:
        raise ValueError(f"{where}: {message}")
