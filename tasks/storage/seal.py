"""The seal of a run's Parquet files: checksums of what the format's own do not cover.

Pages have checksums, which cover neither the pages' headers nor the footer. So 16 bytes before the
footer hold two more, of all bytes before them and of the footer; other readers never look there.
Files of earlier versions have neither.
"""

from __future__ import annotations

from typing import IO, Any
from zlib import crc32

MAGIC = b"PAR1"
SEAL = b"CRC32\0\0\0"  # followed by the checksum of all before it, and that of the footer
SEAL_SIZE = len(SEAL) + 8
END_SIZE = 8  # the footer's length, and MAGIC
BLOCK = 1 << 20  # bytes read at once
LARGEST_FOOTER = 1 << 30


class SealedFile:
    """A file that a Parquet writer writes to, which gets both checksums before its footer."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.checksum = file, 0
        self.end: bytearray | None = None

    def write(self, content: Any) -> int:
        if self.end is not None:
            self.end += content
        else:
            self._append(content)
        return len(content)

    def keep_end(self) -> None:
        """From here on nothing but the footer is written."""
        self.end = bytearray()

    def finish(self) -> None:
        assert self.end is not None
        footer = self.end[-END_SIZE - int.from_bytes(self.end[-END_SIZE:-4], "little") :]
        self._append(self.end[: -len(footer)])
        checksums = (self.checksum, crc32(footer))
        self.file.write(SEAL + b"".join(value.to_bytes(4, "little") for value in checksums))
        self.file.write(footer)

    def flush(self) -> None:
        self.file.flush()

    def _append(self, content: Any) -> None:
        self.checksum = crc32(content, self.checksum)
        self.file.write(content)


def read_end(file: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The seal, and the footer with its length; None in files without a seal."""
    size = file.seek(0, 2)
    if size < END_SIZE + SEAL_SIZE:
        return None
    file.seek(size - END_SIZE)
    end = file.read(END_SIZE)
    length = int.from_bytes(end[:4], "little") + END_SIZE
    if end[4:] != MAGIC or length > min(size - SEAL_SIZE, LARGEST_FOOTER):
        return None
    file.seek(size - length - SEAL_SIZE)
    seal, footer = file.read(SEAL_SIZE), file.read(length)
    return (seal, footer) if seal.startswith(SEAL) else None


def checksum_of(file: IO[bytes], size: int) -> int:
    """Of the next `size` bytes."""
    value = 0
    while size > 0 and (block := file.read(min(size, BLOCK))):
        value = crc32(block, value)
        size -= len(block)
    return value
