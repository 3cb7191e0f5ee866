"""Everything mirfeat raises on purpose.

One root, :class:`MirfeatError`, and beside it the builtin class a caller would guess: a wrong
option is also a ``ValueError``, an unreadable file also an ``OSError``. Every message says what
came, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_SAID = 300


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'choi2017'?`` for a name that is almost one of ``known``, or nothing."""
    near = difflib.get_close_matches(name.lower(), list(known), n=2)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def on_a_line(text: str) -> str:
    """What somebody else said, for a message: a server may say anything, at any length."""
    return " ".join(text.split())[:_MOST_SAID]


class MirfeatError(Exception):
    """Root of all errors that mirfeat raises on purpose.

    >>> try:
    ...     extractor.extract(b"no music")
    ... except mirfeat.MirfeatError as error:
    ...     print(type(error).__name__)
    DecodeError
    """


class MirfeatWarning(UserWarning):
    """Something worth knowing that does not stop the work.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     vector = mirfeat.load_extractor("mfcc").extract(np.full(12000, 0.1, "float32"))
    >>> print(told[0].message)
    no sample_rate given: taking the array to be at 12000 Hz, the rate of mfcc. ...
    """


class ConfigError(MirfeatError, ValueError):
    """The call itself is wrong: a name, an option or a combination of them."""


class UnknownExtractorError(ConfigError):
    """No extractor has this name."""


class OptionError(ConfigError):
    """An option is unknown to this extractor or has a value it does not take."""


class LabelsError(ConfigError):
    """Labels cannot be read, or do not fit the features."""


class ManifestError(ConfigError):
    """A table of tracks and labels cannot be read, or says something impossible."""


class TrainingError(MirfeatError):
    """Training cannot start or go on: no labels, no audio, a loss that is not finite."""


class MissingPackageError(MirfeatError, ImportError):
    """An optional package is needed; the message has the ``pip install`` line."""


class AudioError(MirfeatError, ValueError):
    """This audio cannot be turned into a feature vector. Belongs to one clip, not to a run."""


class DecodeError(AudioError, OSError):
    """The file cannot be read, is not audio, or is damaged."""


class EmptyAudioError(AudioError):
    """There is not a single sample."""


class AudioTooShortError(AudioError):
    """Shorter than the extractor can use."""


class NonFiniteAudioError(AudioError):
    """A sample is NaN or infinite."""


class KilledProcessError(AudioError):
    """Decoding this file ended the whole process: a fault in a decoder, which is not ours."""


class OutOfMemoryError(AudioError, MemoryError):
    """This clip needs more memory than there is."""


class NonFiniteFeatureError(AudioError):
    """A number of the vector is NaN or infinite, though audio and weights are not."""


class MachineError(MirfeatError):
    """The machine has no more of something; no file is at fault, and the run ends."""


class CheckpointError(MirfeatError):
    """Weights cannot be had or used."""


class CheckpointUnavailableError(CheckpointError, OSError):
    """The checkpoint is neither here nor can it be fetched."""


class ChecksumError(CheckpointError):
    """The bytes are not the expected ones."""


class CheckpointMismatchError(CheckpointError):
    """The file belongs to another network, or tensors are missing or unexpected."""


class StoreError(MirfeatError):
    """A folder of extracted vectors cannot be read or written."""


class ProvenanceError(StoreError):
    """The store holds vectors that were made in another way."""


class StoreLockedError(StoreError):
    """Another process is writing to the store."""


class ExtractionError(MirfeatError):
    """Not a single file of a run could be turned into a vector."""


class ClusterError(MirfeatError):
    """A run on a cluster broke off for a reason that is no file's fault; what was done is kept."""
