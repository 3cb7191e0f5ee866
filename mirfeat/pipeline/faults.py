"""Whose fault an error is: of a file, which is listed, or of the machine, which ends the run."""

from __future__ import annotations

import errno
import re

import torch

from mirfeat.errors import MachineError, MirfeatError, OutOfMemoryError

_GO_ON = "No file is at fault: what is done is kept, and the same command goes on from there."
_ADVICE = {
    errno.EMFILE: "this process has as many files open as it may. Raise the limit (ulimit -n "
    "4096), or take fewer --workers",
    errno.ENFILE: "all programs together have as many files open as the system allows. Close some",
    errno.ENOSPC: "the disk is full, probably that of temporary files (TMPDIR). Make room",
    errno.ENOMEM: "there is no memory left. Close other programs, or take fewer --workers",
}
if hasattr(errno, "EDQUOT"):
    _ADVICE[errno.EDQUOT] = "your share of the disk is full. Make room"
# What torch says where an array does not fit.
_NO_MEMORY = re.compile(r"DefaultCPUAllocator|can't allocate memory|not enough memory")


class Faults:
    """Judges the errors of a run, one clip after the other."""

    def __init__(self) -> None:
        """No error so far."""
        self._without_memory = 0

    def of_clip(self, name: str, error: BaseException | None) -> Exception | None:
        """What a clip is listed with; None where nothing went wrong.

        Raises:
            MachineError: it is the machine's: descriptors, the disk, or memory twice in a row.
            BaseException: neither is it, so that it is a bug, or an interrupt.
        """
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            self._without_memory += 1
            if self._without_memory > 1:
                raise MachineError(
                    f"no memory for {name}, nor for the file before. Close other programs, or take "
                    f"fewer --workers, or less of each file with --max-seconds. {_GO_ON}"
                ) from error
            listed = OutOfMemoryError(f"{name}: there was not enough memory for it.")
            listed.__cause__ = error
            return listed
        self._without_memory = 0
        if (fault := of_machine(error)) is not None:
            raise fault from error
        if error is not None and not isinstance(error, MirfeatError | OSError):
            raise error
        assert error is None or isinstance(error, Exception)
        return error


def of_machine(error: BaseException | None) -> MachineError | None:
    """The error as one of the machine, if it or what caused it is one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _ADVICE:
            name = errno.errorcode[error.errno]
            return MachineError(f"{name}: {_ADVICE[error.errno]}. {_GO_ON}")
        error = error.__cause__
    return None


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether torch had no memory, of whatever device."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error)))
