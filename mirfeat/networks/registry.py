"""Every extractor by name: mirfeat's own, those of installed packages, and registered ones."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Iterable
from importlib.metadata import entry_points

from mirfeat.errors import ConfigError, UnknownExtractorError, did_you_mean
from mirfeat.networks import choi2017, hamel2013, kim2018, kim2019, mfcc, musicnn
from mirfeat.networks.spec import ExtractorSpec

logger = logging.getLogger("mirfeat")

# Installed packages name their records here: an object that is an ExtractorSpec or several.
GROUP = "mirfeat.extractors"

_SPECS: dict[str, ExtractorSpec] = {}
_sought = False


def register(spec: ExtractorSpec) -> None:
    """Add an extractor of your own; every function and, in this process, every command knows it.

    A package that is installed says the same in its metadata, as an entry point of the group
    ``mirfeat.extractors``, and needs no call (docs/own_extractor.md).

    >>> import dataclasses
    >>> mfcc = mirfeat.load_extractor("mfcc").spec
    >>> mirfeat.register(dataclasses.replace(mfcc, name="mine"))
    >>> mirfeat.load_extractor("mine").dimension
    120

    Raises:
        ConfigError: the name is taken, or has characters that mean something else.
    """
    if not isinstance(spec, ExtractorSpec):
        raise ConfigError(f"{spec!r} is no ExtractorSpec.")
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
    if name not in _SPECS:
        _take_installed()
    if name in _SPECS:
        return _SPECS[name]
    guess = did_you_mean(name, _SPECS)
    raise UnknownExtractorError(f"unknown extractor {name!r}.{guess} All names: mirfeat list")


def list_extractors(pattern: str = "*") -> tuple[str, ...]:
    """Names that match a shell-style pattern.

    >>> mirfeat.list_extractors("kim2018-*")
    ('kim2018-stn', 'kim2018-mtn', 'kim2018-wstn')
    """
    _take_installed()
    return tuple(name for name in _SPECS if fnmatch.fnmatchcase(name, pattern))


def _take_installed() -> None:
    """Register what installed packages offer, once; one that fails is reported and left out."""
    global _sought
    if _sought:
        return
    _sought = True
    for point in entry_points(group=GROUP):
        try:
            found = point.load()
            specs: Iterable[ExtractorSpec] = (found,) if isinstance(found, ExtractorSpec) else found
            for spec in specs:
                register(spec)
        # Whatever it is, it is somebody else's mistake and must not keep ours from working.
        except Exception as error:
            package = point.dist.name if point.dist else "an installed package"
            logger.warning(
                "the extractor %r of %s is left out: %s: %s",
                *(point.name, package, type(error).__name__, error),
            )


for _spec in (
    *choi2017.SPECS,
    *hamel2013.SPECS,
    *kim2018.SPECS,
    *kim2019.SPECS,
    *mfcc.SPECS,
    *musicnn.SPECS,
):
    register(_spec)
