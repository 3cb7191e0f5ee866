"""Every extractor by name: an explicit table, loud about mistakes."""

from __future__ import annotations

import fnmatch
import re

from mirfeat.errors import ConfigError, UnknownExtractorError, did_you_mean
from mirfeat.networks import choi2017, hamel2013, kim2018, kim2019, mfcc
from mirfeat.networks.spec import ExtractorSpec

_SPECS: dict[str, ExtractorSpec] = {}


def register(spec: ExtractorSpec) -> None:
    """Add an extractor; for third parties too.

    Raises:
        ConfigError: the name is taken, or has characters that mean something else.
    """
    if spec.name in _SPECS:
        raise ConfigError(f"an extractor named {spec.name!r} is registered already.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", spec.name):
        raise ConfigError(f"{spec.name!r} is no extractor name: letters, digits and '-' only.")
    _SPECS[spec.name] = spec


def get_spec(name: str) -> ExtractorSpec:
    """The record of one extractor.

    Raises:
        UnknownExtractorError: with the nearest names.
    """
    if name in _SPECS:
        return _SPECS[name]
    guess = did_you_mean(name, _SPECS)
    raise UnknownExtractorError(f"unknown extractor {name!r}.{guess} All names: mirfeat list")


def list_extractors(pattern: str = "*") -> tuple[str, ...]:
    """Names that match a shell-style pattern, for example ``kim2019-*``."""
    return tuple(name for name in _SPECS if fnmatch.fnmatchcase(name, pattern))


for _spec in (*choi2017.SPECS, *hamel2013.SPECS, *kim2018.SPECS, *kim2019.SPECS, *mfcc.SPECS):
    register(_spec)
