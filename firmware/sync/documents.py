"""The few slow documents of a board, as text a technician can read: identity, site settings, keys,
calibration, the last self-test. TinyDB on a storage that survives a power cut at any moment.

Under 1,000 documents, changed now and then, by one process; anything appended per event belongs in the
journal. Must never show an empty database in place of one that cannot be read.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tinydb import TinyDB, where
from tinydb.storages import Storage

from firmware.sync.journal_schema import sync_folder

MAX_DOCUMENTS = 1000


class DocumentsError(Exception):
    """``reason``: what failed. ``check``: what a technician looks at."""

    def __init__(self, reason: str, check: str) -> None:
        super().__init__(f"{reason}; check: {check}")
        self.reason = reason
        self.check = check


class DocumentsUnreadable(DocumentsError):
    """Neither the newest nor the previous copy can be read. Nothing was changed."""


class DocumentsFault(DocumentsError):
    """The disk did not take a change: the documents are as they were before."""


class AtomicStorage(Storage):
    """A TinyDB storage: first line ``crc32 xxxxxxxx``, then JSON.

    Writing: temporary file, fsync, newest → ``.bak``, temporary → newest, fsync of the folder. Reading falls
    back to ``.bak``, sets ``recovered`` to the reason and keeps the damaged file under another name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._previous = path.with_name(path.name + ".bak")
        self.recovered: str | None = None

    def read(self) -> dict[str, dict[str, Any]] | None:
        """The database, None where there has never been one. Raises DocumentsUnreadable."""
        newest, why = _load(self._path)
        if newest is not None:
            return newest
        previous, why_previous = _load(self._previous)
        if previous is None:
            if why == why_previous == _ABSENT:
                return None
            raise DocumentsUnreadable(
                f"{self._path} ({why}) and its previous copy {self._previous.name} ({why_previous})",
                "the card; restore one of the two files from a backup, or enrol the board again",
            )
        self.recovered = f"{self._path} is {why}; the previous copy is in use"
        if why == _DAMAGED:
            self._keep_damaged()
        return previous

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replaces the database. Raises DocumentsFault; then the old one still stands."""
        text = json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True).encode()
        temporary = self._path.with_name(self._path.name + ".tmp")
        try:
            with temporary.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(b"crc32 %08x\n" % zlib.crc32(text) + text)
                file.flush()
                os.fsync(file.fileno())
            try:
                self._path.replace(self._previous)
            except FileNotFoundError:
                pass
            temporary.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise DocumentsFault(
                f"{self._path} was not written: {error.strerror or error}",
                "free space (df -h), whether the card went read-only (dmesg), and the file's owner",
            ) from error

    def _keep_damaged(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            self._path.rename(self._path.with_name(f"{self._path.name}.corrupt-{stamp}"))
        except OSError as error:
            # Read-only disk: reading goes on from .bak; a write will fail before it can touch that.
            self.recovered = f"{self.recovered} (the damaged file could not be set aside: {error.strerror})"


_ABSENT, _DAMAGED = "absent", "damaged"


def _load(path: Path) -> tuple[dict[str, dict[str, Any]] | None, str]:
    """The content of one copy, or None and why not."""
    try:
        head, _, text = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None, _ABSENT
    except OSError as error:
        return None, f"unreadable: {error.strerror or error}"
    if head != b"crc32 %08x" % zlib.crc32(text):
        return None, _DAMAGED
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None, _DAMAGED
    return (data, "") if _is_database(data) else (None, _DAMAGED)


def _is_database(data: object) -> bool:
    """Tables of numbered documents, each with a name and an object: whatever else a hand made of it would
    end the program at every start."""
    return isinstance(data, dict) and all(
        isinstance(table, dict)
        and all(
            number.isdecimal()
            and isinstance(document, dict)
            and isinstance(document.get("name"), str)
            and isinstance(document.get("value"), dict)
            for number, document in table.items()
        )
        for table in data.values()
    )


class Documents:
    """Named documents by kind, e.g. ``put("keys", "7", {...})``. Values are JSON objects."""

    def __init__(self, storage: AtomicStorage) -> None:
        self._storage = storage
        self._db = TinyDB(storage=lambda: storage)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens or begins the documents at ``path``. Raises DocumentsUnreadable."""
        storage = AtomicStorage(path)
        storage.read()
        return cls(storage)

    @property
    def recovered(self) -> str | None:
        """Why the previous copy is in use, or None."""
        return self._storage.recovered

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        found = self._db.table(kind, cache_size=0).search(where("name") == name)
        return dict(found[0]["value"]) if found else None

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """name → document, by name."""
        return {d["name"]: dict(d["value"]) for d in sorted(self._db.table(kind, cache_size=0), key=_name)}

    def put(self, kind: str, name: str, value: Mapping[str, Any]) -> None:
        """Writes one document. Raises DocumentsFault, or ValueError when it would be the thousandth or is
        not JSON."""
        json.dumps(value)
        table = self._db.table(kind, cache_size=0)
        if not table.contains(where("name") == name) and self.count() + 1 >= MAX_DOCUMENTS:
            raise ValueError(
                f"{kind}/{name} would be document {self.count() + 1}; keep under {MAX_DOCUMENTS}"
            )
        table.upsert({"name": name, "value": dict(value)}, where("name") == name)

    def remove(self, kind: str, name: str) -> bool:
        """True when there was one. Raises DocumentsFault."""
        return bool(self._db.table(kind, cache_size=0).remove(where("name") == name))

    def count(self) -> int:
        return sum(len(table) for table in (self._storage.read() or {}).values())

    def close(self) -> None:
        self._db.close()


def _name(document: Mapping[str, Any]) -> str:
    return str(document["name"])
