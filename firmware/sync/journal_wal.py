"""Notices a write-ahead log that lost its tail. SQLite stops at the first frame that fails its checksum and
says nothing: commits that had returned would be gone, and their seqs given out a second time.

File format: https://www.sqlite.org/fileformat2.html#walformat. Reads only.
"""

from __future__ import annotations

import struct

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAGICS = (0x377F0682, 0x377F0683)


def lost_commits(wal: bytes, used_frames: int) -> bool:
    """Whether ``wal`` holds a commit behind the ``used_frames`` that SQLite could use.

    Frames of an earlier round of the log have another salt and do not count, nor does a transaction
    that never reached its commit frame."""
    if len(wal) < _HEADER_BYTES + _FRAME_HEADER_BYTES:
        return False
    (page_size,) = struct.unpack_from(">I", wal, 8)
    if page_size < 512 or page_size & page_size - 1:
        page_size = 4096
    step = _FRAME_HEADER_BYTES + page_size
    # With a damaged header SQLite uses no frame at all; then the first frame tells this round's salt.
    salt = wal[16:24] if _header_sound(wal) else wal[_HEADER_BYTES + 8 : _HEADER_BYTES + 16]
    for at in range(_HEADER_BYTES + used_frames * step, len(wal) - step + 1, step):
        (pages_after_commit,) = struct.unpack_from(">I", wal, at + 4)
        if pages_after_commit and wal[at + 8 : at + 16] == salt:
            return True
    return False


def _header_sound(wal: bytes) -> bool:
    magic, version = struct.unpack_from(">II", wal)
    if magic not in _MAGICS or version != 3007000:
        return False
    words = struct.unpack_from(">6I" if magic & 1 else "<6I", wal)
    a = b = 0
    for x, y in zip(words[::2], words[1::2], strict=True):
        a = (a + x + b) & 0xFFFFFFFF
        b = (b + y + a) & 0xFFFFFFFF
    return (a, b) == struct.unpack_from(">2I", wal, 24)
