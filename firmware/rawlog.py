"""The folder of raw-read logs: one file a basket, bounded by bytes, count and age; the oldest go first.

For a worker thread. A full or broken disk costs the log and never the sale: nothing here raises for it. Files
are there whole or not at all (temporary file, fsync, rename). It must never take the last room on the card.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.rawstory import pack
from firmware.worker import Worker

log = logging.getLogger("rawlog")

SUFFIX = ".reads"
NAME = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z._-]{0,99}")
MAX_FILES = 5_000
RESERVE_BYTES = 64 * 1024 * 1024
"""Free space that is left to the journal, whatever the limit says."""
PENDING = 8
"""Baskets that may wait for a slow disk; further ones are left out."""
DAY_S = 86_400.0
BLOCK = 4096
"""What a file takes on the card is a multiple of this."""


@dataclass(frozen=True, slots=True)
class _File:
    age_key: int  # ns, never running backwards in the order of writing
    size: int
    path: Path


class RawLog:
    """``keep`` one basket's log. ``wall`` gives the time in unix seconds, or None while it is not sure:
    then nothing goes for its age."""

    def __init__(
        self,
        folder: Path,
        limit_mb: float,
        keep_days: float,
        *,
        max_files: int = MAX_FILES,
        reserve_bytes: int = RESERVE_BYTES,
        wall: Callable[[], float | None] = time.time,
    ) -> None:
        self._folder = folder
        self._limit = int(limit_mb * 1024 * 1024)
        self._keep_s = keep_days * DAY_S
        self._max_files = max_files
        self._reserve = reserve_bytes
        self._wall = wall
        self._after = 0

    def keep(self, name: str, body: bytes) -> str | None:
        """Store ``RawReads.end``'s bytes as ``name`` (the basket's record, EPOCH-SEQ). None when it is there
        for good, else why not, in words. Raises ValueError only for a name that is no file name."""
        if not NAME.fullmatch(name):
            raise ValueError(f"raw-read log {name!r}: a name has letters, digits, '.', '_' and '-' only")
        data = pack(body)
        path = self._folder / (name + SUFFIX)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            room = self._make_room(-(-len(data) // BLOCK) * BLOCK, path)
            if room is None:
                self._write(path, data)
            return room
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            check = (
                "make room on the card (df -h)" if full else "check the card (dmesg) and who owns the folder"
            )
            return f"{error.filename or path}: {error.strerror or error}; {check}"

    def files(self) -> list[Path]:
        """The logs, oldest first. Empty where there is no folder yet. Raises OSError."""
        return [file.path for file in self._scan()]

    def _scan(self) -> list[_File]:
        found = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if not entry.name.endswith(SUFFIX):
                        if entry.name.endswith(SUFFIX + ".part"):  # the power was cut while it was written
                            Path(entry.path).unlink(missing_ok=True)
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        stat = entry.stat(follow_symlinks=False)
                        size = max(stat.st_size, stat.st_blocks * 512)
                        found.append(_File(stat.st_mtime_ns, size, Path(entry.path)))
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda file: (file.age_key, file.path.name))

    def _make_room(self, size: int, path: Path) -> str | None:
        """Let the oldest go until ``size`` bytes fit every bound; why they do not, in words."""
        if size > self._limit:
            return f"{path}: {size} bytes do not fit the limit of {self._limit}; raise it in the board file"
        files = [file for file in self._scan() if file.path != path]
        total = sum(file.size for file in files)
        wall = self._wall()
        oldest_kept = None if wall is None else int((wall - self._keep_s) * 1e9)
        free = shutil.disk_usage(self._folder).free
        for file in list(files):
            aged = oldest_kept is not None and file.age_key < oldest_kept
            crowded = total + size > self._limit or len(files) >= self._max_files
            if not (aged or crowded or free < size + self._reserve):
                break
            file.path.unlink(missing_ok=True)
            files.remove(file)
            total -= file.size
            free += file.size
        if free < size + self._reserve:
            return f"{self._folder}: {free} bytes are free, {self._reserve} stay so; make room (df -h)"
        # The order of writing must outlive a clock that was set back.
        self._after = files[-1].age_key + 1 if files else 0
        return None

    def _write(self, path: Path, data: bytes) -> None:
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                if os.fstat(file.fileno()).st_mtime_ns < self._after:
                    os.utime(file.fileno(), ns=(self._after, self._after))
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class RawKeeper:
    """Between the loop and the folder: ``keep`` returns at once. A slow or broken disk is told once."""

    def __init__(self, worker: Worker, folder: RawLog) -> None:
        self._worker, self._folder = worker, folder
        self._pending = 0
        self.kept = 0
        self.lost = 0
        """Logs that were not kept: the disk was full, broken or too slow."""
        self.fault: str | None = None

    def keep(self, name: str, body: bytes) -> None:
        """Have one log written by the worker. Call it on the loop's thread."""
        if not body:
            return
        if self._pending >= PENDING:
            self._failed(f"{self._pending} logs wait for the disk already; is the card slow or hung (dmesg)?")
            return
        self._pending += 1
        self._worker.submit(lambda: self._folder.keep(name, body), self._done)

    def _done(self, fault: str | None, error: Exception | None) -> None:
        self._pending -= 1
        if error is not None and not isinstance(error, OSError | MemoryError):
            raise error
        fault = fault or (str(error) if error is not None else None)
        if fault is not None:
            self._failed(fault)
            return
        self.kept += 1
        if self.fault is not None:
            log.warning("raw-read logs are kept again")
            self.fault = None

    def _failed(self, fault: str) -> None:
        self.lost += 1
        if self.fault is None:
            log.error("a raw-read log was not kept (the sale goes on): %s", fault)
        self.fault = fault
