"""The real store process (``python -m store run``) on a ledger of its own, to be stopped, killed, frozen."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.support.broker import _die_with_parent
from tests.support.linkboard import until


class StoreProcess:
    """``with StoreProcess(tmp_path, broker.port) as store:`` or start() and stop()."""

    _QUERY = (
        "SELECT j.epoch, r.seq, r.body FROM records r JOIN journals j ON j.id = r.journal"
        " WHERE j.board = ? ORDER BY j.id, r.seq"
    )

    def __init__(
        self, folder: Path, port: int, *, store_id: str = "demo", provider: Path | None = None
    ) -> None:
        """``provider``: settings of who takes the money; None: the store's own double."""
        self._provider = provider
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = folder / "ledger.sqlite"
        self._log = folder / "store.log"
        self._port, self._store_id = port, store_id
        self.process: subprocess.Popen[bytes] | None = None

    def _arguments(self) -> list[str]:
        place = ["--db", f"sqlite:///{self.ledger}", "--broker", f"127.0.0.1:{self._port}"]
        money = [] if self._provider is None else ["--provider", str(self._provider)]
        return ["-m", "store", "run", "--store-id", self._store_id, *place, *money]

    def start(self) -> StoreProcess:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._arguments()],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
            )
        return self

    def connected(self, deadline_s: float = 30.0) -> None:
        """Wait until it says that it reached the broker."""
        until(lambda: b"connected to the broker" in self._log.read_bytes(), deadline_s, self.log())

    def log(self) -> str:
        return self._log.read_text()[-3000:]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def bodies(self, board: str = "entry-1") -> list[bytes]:
        """The bodies of all records of ``board`` in the ledger, by journal and seq."""
        return [row[2] for row in self.rows(board)]

    def rows(self, board: str = "entry-1") -> list[tuple[str, int, bytes]]:
        """(epoch, seq, body) of every record of ``board``."""
        if not self.ledger.exists():
            return []
        with sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True, timeout=10) as db:
            try:
                return db.execute(self._QUERY, (board,)).fetchall()
            except sqlite3.OperationalError:
                return []  # not migrated yet

    def __enter__(self) -> StoreProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class ConsumerProcess(StoreProcess):
    """``tests.support.consumer`` in place of the store, where the ledger's tables do not matter."""

    _QUERY = "SELECT epoch, seq, body FROM rec WHERE board = ? ORDER BY epoch, seq"

    def _arguments(self) -> list[str]:
        return ["-m", "tests.support.consumer", str(self._port), str(self.ledger), self._store_id]
