"""The journal's file: its tables, how it is opened, and its errors in words a technician can use.

One connection, held exclusively: a second program on the same journal would hand out the same ``seq`` twice,
so it must never get in. ``synchronous=FULL`` in WAL mode is what makes a returned commit survive a power cut.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

APPLICATION_ID = 0x54474A31
SCHEMA_VERSION = 1
BUSY_S = 2.0
SEQ_BITS = 32
MAX_SEQ = (1 << SEQ_BITS) - 1

TABLES = (
    # One row per epoch ever pending here; the highest ``no`` is the journal's own.
    """CREATE TABLE epochs (no INTEGER PRIMARY KEY, epoch BLOB NOT NULL UNIQUE,
        last_seq INTEGER NOT NULL, acked INTEGER NOT NULL, crc INTEGER NOT NULL)""",
    # id = no << 32 | seq. The frame carries epoch, seq and crc itself, so a row proves its own bytes.
    """CREATE TABLE rows (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,
        frame BLOB NOT NULL, nacks INTEGER NOT NULL DEFAULT 0)""",
    # When was what acknowledged: retention by age, without touching a row for each ack.
    "CREATE TABLE acks (no INTEGER NOT NULL, through INTEGER NOT NULL, wall_ms INTEGER NOT NULL)",
    """CREATE TABLE spent (visit BLOB NOT NULL, direction INTEGER NOT NULL, count INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL, mono_ms INTEGER NOT NULL, boot BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (visit, direction)) WITHOUT ROWID""",
    # Granted, and neither all passed nor annulled yet. id is the admitted row's.
    """CREATE TABLE admissions (id INTEGER PRIMARY KEY, visit BLOB NOT NULL, direction INTEGER NOT NULL,
        uses INTEGER NOT NULL, counted INTEGER NOT NULL)""",
)


class JournalError(Exception):
    """Base of everything the journal raises on purpose."""


class JournalFault(JournalError):
    """The disk did not do it: nothing was written, and the next call works if the disk does.

    ``reason``: what failed. ``check``: what a technician looks at."""

    def __init__(self, reason: str, check: str) -> None:
        super().__init__(f"{reason}; check: {check}")
        self.reason = reason
        self.check = check


class JournalFull(JournalError):
    """The journal is at its bound: sales are refused until the shop has taken records."""


class JournalCorrupt(JournalError):
    """The file is damaged. Raised inside the package only: opening again recovers what can be read."""


class AckBeyond(JournalError):
    """The shop acknowledges records this journal does not have: it lost some, or is not the one meant."""


class NotOpen(JournalError):
    """An annulment names an admission that has no such uses left to give back."""


# Our statements are fixed and tested: where SQLite finds one wrong, the file is not what it was.
_CORRUPT = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_SCHEMA,
)
_ADVICE = {
    sqlite3.SQLITE_FULL: ("the disk is full", "free space on the data partition (df -h)"),
    sqlite3.SQLITE_READONLY: (
        "the disk is read-only",
        "the card: a file system goes read-only after errors (dmesg); mount options; the file's owner",
    ),
    sqlite3.SQLITE_IOERR: ("the disk does not read or write", "the card and its contacts (dmesg)"),
    sqlite3.SQLITE_CANTOPEN: ("the journal cannot be opened", "that its folder exists and is writable"),
    sqlite3.SQLITE_PERM: ("no permission on the journal", "the owner of the data folder"),
    sqlite3.SQLITE_BUSY: (
        "another program holds the journal",
        "that only one board program runs on it (systemctl status)",
    ),
}


def translate(error: Exception, path: Path) -> JournalError:
    """The JournalFault or JournalCorrupt that says what ``error`` means for ``path``."""
    if isinstance(error, sqlite3.DatabaseError):
        code = getattr(error, "sqlite_errorcode", None)
        # No code: Python could not read a value as the text it claims to be.
        primary = code & 0xFF if isinstance(code, int) else sqlite3.SQLITE_CORRUPT
        if primary in _CORRUPT:
            return JournalCorrupt(f"{path}: {error}")
        if primary == sqlite3.SQLITE_LOCKED:
            primary = sqlite3.SQLITE_BUSY
        if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _read_only(path):
            primary = sqlite3.SQLITE_READONLY
        what, check = _ADVICE.get(primary, (f"the journal failed ({error})", "the log and the card"))
        return JournalFault(f"{what}: {path}", check)
    if isinstance(error, OSError):
        what = os.strerror(error.errno) if error.errno else str(error)
        return JournalFault(f"{what}: {error.filename or path}", "free space, mount options and the card")
    return JournalFault(f"{type(error).__name__}: {error}: {path}", "the log")


def _read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def connect(path: Path) -> sqlite3.Connection:
    """An exclusive WAL connection with explicit transactions. Raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA journal_size_limit=4194304")
        db.execute("PRAGMA cell_size_check=ON")
        db.execute("PRAGMA trusted_schema=OFF")
    except BaseException:
        db.close()
        raise
    return db


def create(db: sqlite3.Connection, epoch: int) -> None:
    """Lays out an empty journal whose own epoch is ``epoch``, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        db.execute(statement)
    put_epoch(db, Epoch(1, epoch, 0, 0))
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    db.execute("COMMIT")


def new_epoch() -> int:
    """64 random bits, never 0."""
    return int.from_bytes(os.urandom(8), "big") or 1


def sync_folder(folder: Path) -> None:
    """Makes renames in ``folder`` last. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@dataclass(slots=True)
class Epoch:
    """One epoch's counters: ``last_seq`` was given out last, everything up to ``acked`` is in the shop."""

    no: int
    epoch: int
    last_seq: int
    acked: int

    def row_id(self, seq: int) -> int:
        return self.no << SEQ_BITS | seq

    def crc(self) -> int:
        return zlib.crc32(struct.pack(">IQII", self.no, self.epoch, self.last_seq, self.acked))


def put_epoch(db: sqlite3.Connection, epoch: Epoch) -> None:
    db.execute(
        "INSERT OR REPLACE INTO epochs VALUES (?,?,?,?,?)",
        (epoch.no, epoch.epoch.to_bytes(8, "big"), epoch.last_seq, epoch.acked, epoch.crc()),
    )


def load_epochs(db: sqlite3.Connection) -> list[Epoch]:
    """All epochs, oldest first. Raises JournalCorrupt when a row does not prove itself."""
    epochs = []
    for no, raw, last_seq, acked, crc in db.execute("SELECT * FROM epochs ORDER BY no"):
        if not (isinstance(raw, bytes) and len(raw) == 8) or not all(
            isinstance(n, int) and 0 <= n <= MAX_SEQ for n in (no, last_seq, acked)
        ):
            raise JournalCorrupt("a row of table epochs is damaged")
        epoch = Epoch(no, int.from_bytes(raw, "big"), last_seq, acked)
        if epoch.crc() != crc or acked > last_seq:
            raise JournalCorrupt("a row of table epochs fails its crc")
        epochs.append(epoch)
    if not epochs:
        raise JournalCorrupt("table epochs is empty")
    return epochs


def verify(db: sqlite3.Connection) -> None:
    """Raises JournalCorrupt unless the file is a sound journal, JournalFault if a newer program wrote it."""
    (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise JournalCorrupt(str(result))
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalCorrupt("it is not a Tallygate journal")
    if version > SCHEMA_VERSION:
        raise JournalFault(
            f"the journal has schema {version}, this program knows {SCHEMA_VERSION}",
            "install the program version that wrote it, or a newer one",
        )
    tables = {row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE type='table'")}
    if tables != set(TABLES):
        raise JournalCorrupt("its tables are not those of a journal")


def wal_frames(db: sqlite3.Connection) -> int:
    """How many frames of the write-ahead log SQLite found usable. Checkpoints what it can on the way."""
    (_, frames, _) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return max(0, int(frames))
