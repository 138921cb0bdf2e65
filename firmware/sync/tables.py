"""The board's pushed tables: takes snapshots and deltas, stores them, asks where it cannot know. Loop thread.

Content counts only when it is on the disk: a restart without a link must not make a revoked visit good
again. The rules for taking are in ``firmware.wire.tables``, the file in ``table_file``; what a table means is
known to whoever built this. Must never block, and never let a message raise. A table of many buckets is
checked where it is written, on the worker: a whole price list takes seconds on a small board.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from firmware.loop import Guard
from firmware.sync.link_types import Arrived
from firmware.sync.table_file import Key, Loaded, TableFault, TableFile
from firmware.sync.window import Backoff
from firmware.wire.asks import EXPIRY_S, TableQuestion
from firmware.wire.tables import (
    SPECS,
    Snapshot,
    TableError,
    Verdict,
    decode_delta,
    decode_snapshot,
    take_answer,
    take_delta,
    take_snapshot,
)
from firmware.wire.topics import Topics
from firmware.worker import Worker

log = logging.getLogger("tables")

ASK_S = (2.0, 300.0)
ASKED_A_SECOND = 2
"""A board is answered 20 times in 10 s: more questions than that would wait for nothing."""
RELOAD_S = 5.0
"""After a disk fault the file is read again this late."""
WAITING = 128
"""Messages kept while the file is being read: every bucket's snapshot, and what changed meanwhile."""
GATE_TABLES = ("revoked", "keys")

Check = Callable[[str, Snapshot], str | None]
"""(table, new content) → why it cannot be used, None where it can. Called on the worker for a table of
several buckets (it must be pure then), on the loop for the others."""
Changed = Callable[[str, dict[str, Snapshot]], None]
"""(table, bucket → content): stored, and in force now."""


class Publisher(Protocol):
    """What is used of the ``Link``."""

    up: bool
    topics: Topics

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> bool: ...


class _Need:
    """One bucket that the board must ask for."""

    def __init__(self, rng: Random) -> None:
        self.correlation: bytes | None = None
        self.at = 0.0
        self.backoff = Backoff(*ASK_S, rng)


class Tables:
    """``load()`` once, then ``arrived`` for what comes, ``connected`` and ``second``. ``fault``: what is
    wrong with the file, until everything that was lost by it is there again. ``names``: the tables this
    board has a use for; others are passed over."""

    def __init__(
        self,
        guard: Guard,
        worker: Worker,
        path: Path,
        link: Publisher,
        check: Check,
        changed: Changed,
        rng: Random | None = None,
        names: Sequence[str] = GATE_TABLES,
    ) -> None:
        self.fault: str | None = None
        self.counts: Counter[str] = Counter()
        self._guard, self._worker, self._link = guard, worker, link
        self._check, self._changed = check, changed
        self._file = TableFile(path)
        self._rng = rng or Random()
        self._names = tuple(names)
        self._keys = tuple((name, bucket) for name in names for bucket in SPECS[name].names())
        self._known = frozenset(self._keys)
        self._stored: dict[Key, Snapshot] = {}
        self._latest: dict[Key, Snapshot] = {}  # stored, or on its way to the disk
        self._unwritten: dict[Key, Snapshot] = {}  # waits for the write that is under way
        self._writing = False
        self._needs: dict[Key, _Need] = {}
        self._waiting: list[Arrived] | None = []  # None: the file has been read
        self._told: set[str] = set()
        self._closed = False

    # -- for the board -------------------------------------------------------------------------

    def load(self) -> None:
        """Read the file; what is in it is in force as soon as it was read."""
        if not self._closed:
            self._worker.submit(self._read, self._loaded)

    def arrived(self, event: Arrived) -> None:
        """A "table" or "delta", or the answer to a question for one."""
        if event.kind != "ans" and event.names not in self._known:
            self.counts["strays"] += 1
        elif self._waiting is None:
            self._take(event)
        elif len(self._waiting) < WAITING:
            self._waiting.append(event)
        else:
            self.counts["dropped"] += 1
            for key in self._keys:
                self._ask(key)

    def connected(self) -> None:
        """A new connection: questions that waited go now."""
        for need in self._needs.values():
            need.at = 0.0
            need.backoff.reset()

    def second(self) -> None:
        """Called every second: asks what is due."""
        if not self._link.up or self._waiting is not None:
            return
        now = self._guard.loop.time()
        left = ASKED_A_SECOND
        for key, need in self._needs.items():
            if now >= need.at and left:
                left -= 1
                need.at = now + need.backoff.next()
                need.correlation = os.urandom(8)
                self.counts["asked"] += 1
                topics = self._link.topics
                question = TableQuestion(*key).encode()
                answer = topics.ans("table")
                self._link.publish(
                    topics.ask("table"), question, 0, False, EXPIRY_S, answer, need.correlation
                )

    def figures(self) -> dict[str, int]:
        """For ``health``: version and entries of each table, and how often the board had to ask. The version
        of a table of several buckets is the sum of theirs: equal to the shop's when all are."""
        shown = {f"table_{name}": self.counts[name] for name in ("asked", "refused", "dropped")}
        for name in self._names:
            spec = SPECS[name]
            held = [self._stored[key] for key in _keys_of(name) if key in self._stored]
            shown[f"table_{name}_version"] = sum(one.version for one in held)
            if spec.entry_size:
                shown[f"table_{name}_entries"] = sum(len(one.data) // spec.entry_size for one in held)
        return shown

    def close(self) -> None:
        self._closed = True
        self._worker.submit(self._file.close)

    # -- what came -----------------------------------------------------------------------------

    def _take(self, event: Arrived) -> None:
        if event.kind == "ans":
            key = next((k for k, n in self._needs.items() if n.correlation == event.correlation), None)
            if key is None or event.correlation is None:
                self.counts["strays"] += 1
                return
            if not event.payload:
                self._settled(key)  # the shop has no such table: what the board has stays
                return
        else:
            key = (event.names[0], event.names[1])
        have = self._latest.get(key)
        try:
            if event.kind == "delta":
                found = take_delta(have, decode_delta(event.payload))
            else:
                pushed = decode_snapshot(event.payload)
                if pushed.entry_size != SPECS[key[0]].entry_size:
                    raise TableError(f"its entries have {pushed.entry_size} bytes")
                found = take_answer(have, pushed) if event.kind == "ans" else take_snapshot(have, pushed)
        except TableError as error:
            self._say(f"a message for table {'/'.join(key)} is unreadable: {error}")
            self.counts["refused"] += 1
            found = Verdict.ASK
        if isinstance(found, Snapshot):
            self._keep(key, found)
        elif found is Verdict.ASK:
            self._ask(key)
        elif event.kind != "delta":
            self._settled(key)  # an old delta says nothing about the newest version

    def _keep(self, key: Key, snapshot: Snapshot) -> None:
        if not _large(key) and self._check(key[0], snapshot) is not None:
            self._refused(key)
            return
        self._latest[key] = snapshot
        self._unwritten[key] = snapshot
        if not self._writing:
            self._write()

    def _write(self) -> None:
        """What came during one write goes with the next: a whole price list is few commits, not 64."""
        batch, self._unwritten = self._unwritten, {}
        self._writing = True

        def store() -> dict[Key, Snapshot]:
            good = self._usable(batch)
            if good:
                self._file.put(good)
            return good

        def stored(good: dict[Key, Snapshot] | None, error: Exception | None) -> None:
            self._writing = False
            if good is None:
                self._failed(error, batch)
            else:
                self._stored |= good
                for key, snapshot in batch.items():
                    newest = self._latest.get(key) == snapshot
                    if key not in good:
                        self._refused(key, newest)
                    elif newest:
                        self._settled(key)
                for name in dict.fromkeys(key[0] for key in good):
                    self._tell(name)
            if self._unwritten:
                self._write()

        self._worker.submit(store, stored)

    def _usable(self, found: dict[Key, Snapshot]) -> dict[Key, Snapshot]:
        """Without the buckets of large tables that cannot be used. On the worker."""
        return {k: one for k, one in found.items() if not _large(k) or self._check(k[0], one) is None}

    def _refused(self, key: Key, newest: bool = False) -> None:
        """``newest``: it was taken for the newest until it was looked at."""
        self.counts["refused"] += 1
        if newest:
            self._latest.pop(key)
            if key in self._stored:
                self._latest[key] = self._stored[key]
        self._settled(key)  # to ask would give the same again

    def _ask(self, key: Key) -> None:
        self._needs.setdefault(key, _Need(self._rng))

    def _settled(self, key: Key) -> None:
        self._needs.pop(key, None)
        if not self._needs and self.fault is not None:
            log.warning("the tables are complete again")
            self.fault = None

    # -- the disk ------------------------------------------------------------------------------

    def _read(self) -> Loaded:
        """On the worker."""
        loaded = self._file.load()
        mine = {key: found for key, found in loaded.tables.items() if key in self._known}
        return Loaded(self._usable(mine), loaded.damaged)

    def _loaded(self, loaded: Loaded | None, error: Exception | None) -> None:
        if loaded is None:
            self._failed(error)
            return
        if loaded.damaged is not None:
            log.error("%s; the shop is asked for its tables", loaded.damaged)
            self.fault = loaded.damaged
            for key in self._keys:
                self._ask(key)
        # What cannot be used is of another version of this program.
        found = loaded.tables.items()
        self._stored = {k: one for k, one in found if _large(k) or self._check(k[0], one) is None}
        self._latest = dict(self._stored)
        for name in self._names:
            if any(key[0] == name for key in self._stored):
                self._tell(name)
        waiting, self._waiting = self._waiting or [], None
        for event in waiting:
            self._take(event)

    def _failed(self, error: Exception | None, keys: Collection[Key] = ()) -> None:
        if not isinstance(error, TableFault):
            raise error or RuntimeError("the tables' file gave neither a result nor an error")
        if self.fault is None:
            log.error("%s", error)
        self.fault = str(error)
        for key in keys:
            self._ask(key)
        if self._waiting is None or not keys:
            # Not in force, so not known: the file is read again, then the shop is asked.
            self._waiting = self._waiting or []
            self._latest = dict(self._stored)
            self._guard.at(self._guard.loop.time() + RELOAD_S, self.load)

    def _tell(self, name: str) -> None:
        self._changed(name, {key[1]: self._stored[key] for key in _keys_of(name) if key in self._stored})

    def _say(self, text: str) -> None:
        if text not in self._told and len(self._told) < WAITING:
            self._told.add(text)
            log.warning("%s; the shop is asked (said once, then counted)", text)


def _large(key: Key) -> bool:
    return SPECS[key[0]].buckets > 1


def _keys_of(name: str) -> list[Key]:
    return [(name, bucket) for bucket in SPECS[name].names()]
