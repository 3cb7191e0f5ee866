"""An opened file: on disk, or an object of the caller that holds one.

Only regular files are opened on disk: a pipe would block for ever, and a device never ends.
Files are read in blocks, never mapped: one that another program cuts short would end the process.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from mirfeat.errors import AudioError, DecodeError

FileLike: TypeAlias = BinaryIO
# The machine's faults, not the file's.
_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Patch(NamedTuple):
    """Bytes that a decoder shall see at a place in a file instead of those that are there."""

    position: int
    content: bytes


class OpenedFile:
    """Bytes that can be read at any place. ``name`` is for messages."""

    def __init__(self, stream: Any, name: str, path: Path | None) -> None:
        """Wrap a seekable binary ``stream``; ``path`` is where it lies, if on a disk."""
        self.stream, self.name, self.path = stream, name, path
        self.size = int(stream.seek(0, os.SEEK_END))

    def read_at(self, position: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``position``; fewer where the file ends."""
        self.stream.seek(position)
        data = bytes(self.stream.read(count) or b"")
        while data and len(data) < count:  # unbuffered files may give less than there is
            if not (more := self.stream.read(count - len(data))):
                break
            data += more
        return data

    def close(self) -> None:
        """Close what was opened here; an object of the caller stays open, at its start."""
        if self.path is None:
            self.stream.seek(0)
        else:
            self.stream.close()


class FileView:
    """A file object for decoders: from some place on, never closed by them."""

    def __init__(
        self,
        file: OpenedFile,
        start: int = 0,
        patch: Patch | None = None,
        end: int | None = None,
    ) -> None:
        """See ``file`` from ``start`` to ``end``, with the bytes of ``patch`` for its own."""
        self._stream, self._start, self._size = file.stream, start, end or file.size
        self._patch = patch or Patch(0, b"")
        self._stream.seek(start)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """To a place counted from the start of the view, from here or from the end."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._stream.tell(), os.SEEK_END: self._size}
        return int(self._stream.seek(max(self._start, base[whence] + offset))) - self._start

    def tell(self) -> int:
        """The place, counted from the start of the view."""
        return int(self._stream.tell()) - self._start

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        place = int(self._stream.tell())
        room = max(0, self._size - place)
        data = bytes(self._stream.read(room if count < 0 else min(count, room)))
        at, content = self._patch
        first, last = max(at, place), min(at + len(content), place + len(data))
        if first >= last:
            return data
        return data[: first - place] + content[first - at : last - at] + data[last - place :]


def open_path(path: Path, name: str) -> OpenedFile:
    """Open a regular file.

    Raises:
        DecodeError: not there, not readable, a folder, a pipe or a device.
    """
    if "\0" in str(path):  # a list of names that was read in the wrong encoding
        raise DecodeError(f"{name}: there is no such file.")
    try:
        # A pipe without a writer would be waited for.
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DecodeError(f"{name}: there is no such file.") from error
    except PermissionError as error:
        if path.is_dir():  # Windows opens no folders
            raise _folder(name) from error
        raise DecodeError(f"{name}: no permission to read it.") from error
    except OSError as error:
        if error.errno in _MACHINE:
            raise
        raise DecodeError(f"{name}: {error.strerror or error}.") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise _folder(name)
        if not stat.S_ISREG(mode):
            raise DecodeError(f"{name}: is {_KINDS.get(stat.S_IFMT(mode), 'no file')}. {_WAY_OUT}")
        return OpenedFile(io.FileIO(descriptor), name, path)
    except BaseException:
        os.close(descriptor)
        raise


_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
_KINDS[stat.S_IFBLK] = "a device"
_WAY_OUT = "Only regular files are read; write it to one first."


def _folder(name: str) -> DecodeError:
    return DecodeError(f"{name}: is a directory. Give its files, or use 'mirfeat extract DIR'.")


def is_file_like(value: object) -> bool:
    """Whether this holds an encoded file: bytes, or an object with ``read``."""
    return isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read")


def open_object(value: Any, name: str) -> OpenedFile:
    """Take bytes or an open binary file, from its start wherever it stands.

    Raises:
        AudioError: text, or a stream that cannot go back.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        value = io.BytesIO(value)
    if isinstance(value, io.TextIOBase):
        raise AudioError(f"{name}: is open as text. Open it with open(path, 'rb').")
    try:
        return OpenedFile(value, name, None)
    except (AttributeError, OSError, io.UnsupportedOperation, TypeError) as error:
        raise AudioError(
            f"{name}: cannot be read from any place ({error}). Pass its bytes: stream.read()."
        ) from error
    except ValueError as error:
        raise AudioError(f"{name}: {error}.") from error


def name_of(value: Any) -> str:
    """What messages call an object: its file's name, or its type."""
    name = getattr(value, "name", None)
    return name if isinstance(name, str) and name else f"<{type(value).__name__}>"
