"""The ledger file: made, brought up to date, refused with a reason when it cannot be used."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_mock_engine, text
from sqlalchemy.dialects import postgresql

from store import saleschema, schema
from store.ledger import LedgerError, check, explain, insert_once, migrate, open_ledger, upsert
from tests.support.shopfeed import sqlite_url


def test_upgrade_from_empty_gives_exactly_the_tables_of_the_program(tmp_path: Path) -> None:
    engine = open_ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    assert migrate(engine) == "0005"
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), saleschema.metadata)
    assert found == []
    assert migrate(engine) == "0005"


def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    engine = open_ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    migrate(engine)
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 2000}


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE wire_faults (board)")  # in the way of revision 1, near its end
    with pytest.raises(LedgerError, match="wire_faults"):
        migrate(open_ledger(sqlite_url(path)))
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("wire_faults",)]


def test_a_newer_ledger_is_not_touched(tmp_path: Path) -> None:
    engine = open_ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(LedgerError, match="newer version"):
        migrate(engine)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ledger.sqlite", "four slashes"),
        ("sqlite://", "in memory"),
        ("sqlite:////nowhere/at/all/ledger.sqlite", "folder /nowhere/at/all"),
        ("nosuchdb://host/name", "no driver"),
    ],
)
def test_a_url_nobody_can_use_is_refused_in_words(url: str, says: str) -> None:
    with pytest.raises(LedgerError, match=says):
        open_ledger(url)


def test_a_reader_makes_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(LedgerError, match="there is no ledger"):
        open_ledger(sqlite_url(path), read_only=True)
    assert not path.exists()


def test_a_file_that_is_no_ledger_says_what_to_check(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8" * 4096)
    with pytest.raises(LedgerError, match="not a ledger; check --db"):
        migrate(open_ledger(sqlite_url(path)))
    empty = tmp_path / "empty.sqlite"
    sqlite3.connect(empty).close()
    empty.touch()
    with pytest.raises(LedgerError, match="has schema none"):
        check(open_ledger(sqlite_url(empty), read_only=True))


def test_errors_name_what_to_check() -> None:
    assert "free space" in explain(sqlite3.OperationalError("database or disk is full"))
    assert "another program holds" in explain(sqlite3.OperationalError("database is locked"))


def test_the_tables_are_legal_for_postgresql_too() -> None:
    statements: list[str] = []
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    engine = create_mock_engine(
        "postgresql+psycopg://", lambda sql, *_a, **_k: statements.append(str(sql.compile(dialect=dialect)))
    )
    schema.metadata.create_all(engine, checkfirst=False)
    made = "\n".join(statements)
    assert "CREATE TABLE journals" in made
    assert "id BIGSERIAL" in made
    assert "WITHOUT ROWID" not in made


def test_once_only_and_update_statements_are_legal_for_postgresql_too() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    said: list[str] = []

    class Connection:
        def __init__(self) -> None:
            self.dialect = dialect

        def execute(self, statement: Any, _rows: Any) -> None:
            said.append(" ".join(str(statement.compile(dialect=dialect)).split()))

    connection: Any = Connection()
    insert_once(connection, schema.journals, [{"board": "b"}])
    upsert(connection, schema.visits, [{"visit": "v"}], ["kind"], keep=True)
    upsert(connection, schema.wire_faults, [{"board": "b"}], ["detail"], add=["count"])
    assert said[0].endswith("ON CONFLICT DO NOTHING RETURNING journals.id") or said[0].endswith("DO NOTHING")
    assert "ON CONFLICT (visit) DO UPDATE SET kind = coalesce(visits.kind, excluded.kind)" in said[1]
    assert "ON CONFLICT (board, kind) DO UPDATE SET" in said[2]
    assert "count = (wire_faults.count + excluded.count), detail = excluded.detail" in said[2]
