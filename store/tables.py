"""The tables that boards are told, in the ledger: revoked visits and public pass keys, and their versions.

The price list's content is ``store.prices``'s work; it is published here as well.

Every change writes its fact and the new published content in one transaction, so that a version names one
content for ever. Nothing here talks to the broker. Must never be given a private key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from firmware.wire.keys import KEY_BYTES, MAX_KEY_ID, KeySet
from firmware.wire.tables import MAX_DATA, SPECS, Snapshot, TableError, snapshot_of
from store.ledger import LedgerError, upsert
from store.schema import pass_keys, pushed, revocations

Key = tuple[str, str]
"""(table, bucket)"""
REVOKED_MS = 24 * 3600 * 1000
"""A revocation is told for so long. A pass lives 2 h, so that boards forget none that matters."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One pass key of the ledger; ``retired_ms`` None: in use."""

    key_id: int
    public_key: str
    added_ms: int
    retired_ms: int | None


def revoke(connection: Connection, visit: str, reason: str) -> bool:
    """Withdraw the passes of ``visit`` (16 lower-case hex digits); False where they are already.

    Raises LedgerError when the table is full."""
    if _open_revocation(connection, visit) is not None:
        return False
    row = {"visit": visit, "reason": reason, "revoked_ms": _now_ms()}
    connection.execute(revocations.insert(), row)
    renew(connection)
    return True


def forgive(connection: Connection, visit: str) -> bool:
    """Undo ``revoke``; False where the visit is not withdrawn."""
    found = _open_revocation(connection, visit)
    if found is None:
        return False
    connection.execute(
        revocations.update().where(revocations.c.id == found).values(undone_ms=_now_ms()),
    )
    renew(connection)
    return True


def add_key(connection: Connection, key_id: int, public_key: str) -> bool:
    """Let boards accept passes of this public key (64 lower-case hex digits), also one that was retired.

    False where it is in use already. Raises LedgerError: a wrong value, or a number or key already given."""
    if not 0 <= key_id <= MAX_KEY_ID:
        raise LedgerError(f"key id {key_id} must be 0 to {MAX_KEY_ID}")
    if len(public_key) != 2 * KEY_BYTES or not set(public_key) <= set("0123456789abcdef"):
        raise LedgerError(f"a public key is {2 * KEY_BYTES} hex digits; check the text given")
    for row in keys(connection):
        if row.key_id == key_id and row.public_key != public_key:
            raise LedgerError(
                f"key id {key_id} belongs to another key (see `keys list`); give the new key a new number"
            )
        if row.public_key == public_key and row.key_id != key_id:
            raise LedgerError(f"this key is there already as number {row.key_id}")
        if row.key_id == key_id and row.retired_ms is None:
            return False
    row_of = {"key_id": key_id, "public_key": public_key, "added_ms": _now_ms(), "retired_ms": None}
    upsert(connection, pass_keys, [row_of], ["added_ms", "retired_ms"])
    renew(connection)
    return True


def retire_key(connection: Connection, key_id: int) -> bool:
    """Boards refuse passes of this key from now on; False where they do already.

    Raises LedgerError: no such key, or it is the last in use."""
    found = {row.key_id: row for row in keys(connection)}
    if key_id not in found:
        raise LedgerError(f"there is no key {key_id} in this ledger (see `keys list`)")
    if found[key_id].retired_ms is not None:
        return False
    if sum(row.retired_ms is None for row in found.values()) == 1:
        raise LedgerError(f"key {key_id} is the last one in use: add the new key first, or no pass is good")
    connection.execute(
        pass_keys.update().where(pass_keys.c.key_id == key_id).values(retired_ms=_now_ms()),
    )
    renew(connection)
    return True


def keys(connection: Connection) -> list[KeyRow]:
    """All keys, by number."""
    return [KeyRow(*row) for row in connection.execute(select(pass_keys).order_by(pass_keys.c.key_id))]


def renew(connection: Connection) -> int:
    """Give every bucket whose content is another one a new version; how many there were.

    Also lets old revocations go. Raises LedgerError when a table is full."""
    return publish(connection, lambda: _contents(connection))


def publish(connection: Connection, contents: Callable[[], Mapping[Key, tuple[int, bytes]]]) -> int:
    """Give each of these buckets its content, (entry size, data), and a new version where that is another
    one; how many there were. ``contents`` is asked once nobody else can change anything."""
    if connection.dialect.name == "postgresql":
        # A change under way elsewhere is waited for: a version must name one content.
        connection.execute(text(f"LOCK TABLE {pushed.name} IN SHARE ROW EXCLUSIVE MODE"))
    before, changed = published(connection), 0
    for key, (size, data) in contents().items():
        old = before.get(key)
        if old is not None and (old.entry_size, old.data) == (size, data):
            continue
        row = {"name": key[0], "bucket": key[1], "version": old.version + 1 if old else 1}
        row |= {"entry_size": size, "data": data, "changed_ms": _now_ms()}
        upsert(connection, pushed, [row], ["version", "entry_size", "data", "changed_ms"])
        changed += 1
    return changed


def published(connection: Connection) -> dict[Key, Snapshot]:
    """What boards are told now."""
    query = select(pushed.c.name, pushed.c.bucket, pushed.c.version, pushed.c.entry_size, pushed.c.data)
    return {
        (name, bucket): Snapshot(version, size, bytes(data))
        for name, bucket, version, size, data in connection.execute(query)
    }


def versions(connection: Connection) -> dict[Key, int]:
    """The versions alone: cheap enough for every second."""
    query = select(pushed.c.name, pushed.c.bucket, pushed.c.version)
    return {(name, bucket): version for name, bucket, version in connection.execute(query)}


def _contents(connection: Connection) -> dict[Key, tuple[int, bytes]]:
    """What boards ought to be told: (table, bucket) → (entry size, data)."""
    spec = SPECS["revoked"]
    visits: dict[str, set[bytes]] = {bucket: set() for bucket in spec.names()}
    table = revocations.c
    query = select(table.visit).where(table.undone_ms.is_(None), table.revoked_ms > _now_ms() - REVOKED_MS)
    for visit in connection.scalars(query):
        entry = bytes.fromhex(visit)
        visits[spec.bucket_of(entry)].add(entry)
    found: dict[Key, tuple[int, bytes]] = {}
    for bucket, entries in visits.items():
        try:
            found["revoked", bucket] = spec.entry_size, snapshot_of(1, spec.entry_size, entries).data
        except TableError:
            raise LedgerError(
                f"{len(entries)} visits are revoked within a day, boards take {MAX_DATA // spec.entry_size}; "
                "retire the pass key instead (`keys retire`)"
            ) from None
    if rows := keys(connection):
        usable = {row.key_id: bytes.fromhex(row.public_key) for row in rows}
        retired = frozenset(row.key_id for row in rows if row.retired_ms is not None)
        found["keys", "0"] = SPECS["keys"].entry_size, KeySet(usable, retired).encode()
    return found


def _open_revocation(connection: Connection, visit: str) -> int | None:
    """The row that withdraws ``visit`` now. One that boards were let forget counts no more."""
    table = revocations.c
    query = select(table.id).where(table.visit == visit, table.undone_ms.is_(None))
    return connection.scalar(query.where(table.revoked_ms > _now_ms() - REVOKED_MS))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
