"""TOML files as frozen records: a wrong key or type is an error that says where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mirfeat.errors import ConfigError, did_you_mean

# A configuration has some kilobytes, and keys of one or two parts. Of a key of n parts the parser
# keeps n² / 2 of them: 200 kB of dots would take 40 GB.
_MOST_BYTES, _MOST_PARTS = 1 << 20, 100
_TEXT = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*''' r"|'''.*?'''|'[^'\n]*'", re.DOTALL
)
_BETWEEN_KEYS = re.compile(r"[=\[\]{},\n]")


def read_toml(path: Path) -> dict[str, Any]:
    """Keys and sections of a file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        text = content.decode("utf-8").replace("\r\n", "\n")
        _check_keys(text)
        record: dict[str, Any] = _toml().loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    # TOMLDecodeError, UnicodeDecodeError, a number of thousands of digits; deep nesting.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    _check_numbers(record, path)
    return record


def _check_keys(text: str) -> None:
    parts = _BETWEEN_KEYS.split(_TEXT.sub("", text))
    if (most := max(part.count(".") for part in parts)) >= _MOST_PARTS:
        raise ValueError(f"a key of {most + 1} parts; up to {_MOST_PARTS} are taken")


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
        key = unknown[0][:80]
        raise ConfigError(f"{where}: unknown key {key!r}.{guess} Known: {', '.join(hints)}.")
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
            raise ConfigError(f"{where} = {_short(value)}: one of {', '.join(get_args(hint))}.")
        return value
    if get_origin(hint) in (dict, tuple):
        return _typed_items(hint, value, where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        kind = "a text" if hint in (str, Path) else hint.__name__
        raise ConfigError(f"{where} = {_short(value)}: expected {kind}.")
    return value


def _short(value: Any) -> str:
    return repr(value)[:200]


def _typed_items(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a section: write [{where.rpartition(' ')[2]}].")
        kind = get_args(hint)[1]
        return {key: _typed(kind, item, f"{where}: {key}") for key, item in value.items()}
    if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise ConfigError(f'{where} = {_short(value)}: a list of texts, as in ["tag", "artist"].')
    return tuple(value)
