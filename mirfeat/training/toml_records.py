"""TOML files as frozen records: a wrong key or type is an error that says where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mirfeat.errors import ConfigError, did_you_mean


def read_toml(path: Path) -> dict[str, Any]:
    """Keys and sections of a file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        record: dict[str, Any] = _toml().loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    # TOMLDecodeError, UnicodeDecodeError, a number of thousands of digits; deep nesting.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    _check_numbers(record, path)
    return record


def _check_numbers(value: Any, where: object) -> None:
    """TOML's whole numbers have 64 bits; a longer one could not even be shown in a message."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_numbers(item, where)
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ConfigError(f"{where}: a whole number of {value.bit_length()} bits; TOML has 64.")


def _toml() -> Any:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef,import-not-found,unused-ignore]
    return tomllib


def filled(kind: Any, record: Mapping[str, Any], where: str) -> Any:
    """A record of the dataclass ``kind`` from plain values, each checked against its annotation.

    ``where``: file and section, for messages.

    Raises:
        ConfigError: an unknown key, one that is missing, or a wrong type.
    """
    hints = get_type_hints(kind)
    if unknown := [key for key in record if key not in hints]:
        guess = did_you_mean(unknown[0], hints)
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}.{guess} Known: {', '.join(hints)}.")
    required = {f.name for f in fields(kind) if f.default is MISSING is f.default_factory}
    if missing := sorted(required - record.keys()):
        raise ConfigError(f"{where}: missing {', '.join(map(repr, missing))}.")
    typed = {key: _typed(hints[key], value, f"{where}: {key}") for key, value in record.items()}
    return kind(**typed)


def _typed(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:  # whoever reads it checks it
        return value
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a section: write [{where.rpartition(' ')[2]}].")
        return filled(hint, value, where)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ConfigError(f"{where} = {value!r}: one of {', '.join(get_args(hint))}.")
        return value
    if get_origin(hint) in (dict, tuple):
        return _typed_items(hint, value, where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        kind = "a text" if hint in (str, Path) else hint.__name__
        raise ConfigError(f"{where} = {value!r}: expected {kind}.")
    return value


def _typed_items(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a section: write [{where.rpartition(' ')[2]}].")
        kind = get_args(hint)[1]
        return {key: _typed(kind, item, f"{where}: {key}") for key, item in value.items()}
    if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise ConfigError(f'{where} = {value!r}: a list of texts, as in ["tag", "artist"].')
    return tuple(value)
