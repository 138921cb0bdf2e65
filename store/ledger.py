"""Opens the ledger: engine by URL, SQLite made durable, schema brought up to date by Alembic.

SQLite runs in WAL with ``synchronous=FULL``: a commit that returned survives a kill and a power cut.
The same Core code serves PostgreSQL; what differs between the two is in this file only. Must never
create an empty ledger where somebody asked to read one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)

BUSY_TIMEOUT_MS = 2000
_MIGRATION_LOCK = 0x7A11_96A7  # PostgreSQL advisory lock: one worker migrates, the others wait

log = logging.getLogger("store.ledger")


class LedgerError(Exception):
    """The ledger cannot be used; the message says what to check."""


def open_ledger(url: str, *, read_only: bool = False) -> Engine:
    """An engine for ``url`` (``sqlite:////path/ledger.sqlite`` or ``postgresql+psycopg://…``).

    Nothing is created or migrated here. Raises LedgerError for a URL nobody can use, and, when
    ``read_only``, for a SQLite file that does not exist.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LedgerError(
            f"'{url}' is not a database URL; write sqlite:////full/path/ledger.sqlite (four slashes) "
            "or postgresql+psycopg://user@host/name"
        ) from None
    try:
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed, read_only)
        return create_engine(parsed, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError) as error:
        raise LedgerError(
            f"no driver for {parsed.drivername}: {error}; install it beside the store"
        ) from None


def _open_sqlite(url: URL, read_only: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise LedgerError(
            "a ledger in memory would lose everything; name a file: sqlite:////path/ledger.sqlite"
        )
    path = Path(url.database)
    if read_only and not path.is_file():
        raise LedgerError(
            f"there is no ledger at {path}; check --db, or create one: python -m store init --db …"
        )
    if not path.parent.is_dir():
        raise LedgerError(
            f"the folder {path.parent} for the ledger does not exist; create it, or correct --db"
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        # sqlite3 would otherwise start transactions by itself, and not before DDL: a migration that was
        # killed half way would stay half way.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: a read that turns into a write could fail with no waiting.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def migrate(engine: Engine) -> str:
    """Bring the schema to this version's revision and return its id. Idempotent.

    Raises LedgerError when the file is no ledger, cannot be written, or is newer than this program.
    """
    try:
        config = _config()
        head = str(ScriptDirectory.from_config(config).get_current_head())
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            before = _known(connection, config)
            if before != head:
                log.info("ledger schema: %s → %s", before or "empty", head)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        return head
    except SQLAlchemyError as error:
        raise LedgerError(f"cannot open the ledger {name(engine)}: {explain(error)}") from error


def check(engine: Engine) -> None:
    """Raise LedgerError unless the ledger has exactly this program's schema (for readers)."""
    config = _config()
    head = ScriptDirectory.from_config(config).get_current_head()
    try:
        with engine.connect() as connection:
            found = _known(connection, config)
    except SQLAlchemyError as error:
        raise LedgerError(f"cannot read the ledger {name(engine)}: {explain(error)}") from error
    if found != head:
        raise LedgerError(
            f"{name(engine)} has schema {found or 'none'}, this program reads {head}; "
            "start `python -m store run` (or `init`) on it once to bring it up to date"
        )


def _known(connection: Connection, config: Config) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise LedgerError(
            f"{name(connection.engine)} was written by a newer version (schema {found}); "
            "update this program instead of going back"
        )
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def name(engine: Engine) -> str:
    """The ledger as shown to people: never with a password."""
    return engine.url.database or "?" if engine.dialect.name == "sqlite" else engine.url.render_as_string()


def explain(error: BaseException) -> str:
    """One sentence for a failed database call: what the database said and what to check."""
    said = str(error.orig) if isinstance(error, DBAPIError) and error.orig else str(error)
    said = " ".join(said.split())[:200]
    hints = {
        "disk is full": "free space on the ledger's disk",
        "locked": "another program holds the ledger; close it",
        "readonly": "the ledger's file or folder is read-only; check its owner and the mount",
        "read-only": "the ledger's file or folder is read-only; check its owner and the mount",
        "unable to open": "check that the folder exists and may be written by this user",
        "not a database": "this file is not a ledger; check --db, or restore it from a backup",
        "malformed": "the ledger's file is damaged; restore it from a backup, the boards will resend",
        "disk i/o": "the ledger's disk reports errors; check it (dmesg) and have a backup at hand",
        "no such table": "run `python -m store init` on it once",
    }
    hint = next(
        (hint for key, hint in hints.items() if key in said.lower()), "check the database and its disk"
    )
    return f"{said}: {hint}"


def is_outage(error: BaseException) -> bool:
    """Whether ``error`` is the database's own trouble (full, locked, gone), not that of the rows given."""
    return isinstance(error, SQLAlchemyError) and not isinstance(error, IntegrityError | DataError)


def insert_once(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert ``rows``; a row whose key is there already changes nothing."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    update: Sequence[str],
    *,
    keep: bool = False,
    add: Sequence[str] = (),
) -> None:
    """Insert ``rows``; on a conflict of the primary key set ``update`` to the new values.

    ``keep``: an old value that is not NULL stays. ``add``: columns where the new value is added to the old.
    """
    if not rows:
        return
    statement = _insert(connection, table)
    new = statement.excluded
    changes: dict[str, Any] = {column: new[column] for column in update}
    if keep:
        changes = {column: func.coalesce(table.c[column], new[column]) for column in update}
    changes |= {column: table.c[column] + new[column] for column in add}
    key = [column.name for column in table.primary_key.columns]
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changes), list(rows))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
