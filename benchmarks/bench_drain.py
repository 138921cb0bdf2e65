"""How long a backlog takes to reach the shop, beside bare MQTT. Prints a markdown table.

Ours: 10,000 records in the journal after an outage; time from the dial until the journal holds nothing that
the shop has not acknowledged (every record committed there and its receipt committed here). Beside it, same
broker, same run: the same frames by a bare paho QoS 1 client from memory (its own window of 20), and a
subscriber that commits the same bytes to SQLite in the same batches; time until the last row is committed.
Both sides' subscriber is ``tests/support/consumer.py``. The real store is a row of its own.

python benchmarks/bench_drain.py [RECORDS [ROUNDS]]
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware.sync.journal import Journal
from firmware.wire.records import Admitted, Kind
from firmware.wire.topics import StoreTopics
from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, stamp, until
from tests.support.storeproc import ConsumerProcess, StoreProcess


class MuteConsumer(ConsumerProcess):
    """The subscriber of the bare client: commits, and acks to nobody."""

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "mute"]


def count(store: StoreProcess) -> int:
    with sqlite3.connect(f"file:{store.ledger}?mode=ro", uri=True, timeout=10) as db:
        try:
            table = "rec" if isinstance(store, ConsumerProcess) else "records"
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def fill(folder: Path, records: int) -> list[bytes]:
    """A journal with ``records`` admissions in ``folder``; their frames. Filled in memory: not measured."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        journal = Journal.open(Path(name) / "journal.sqlite", clock=stamp)
        for number in range(records):
            body = Admitted(stamp(), number.to_bytes(8, "big"), "in", 1, "entry", 7, 3).body()
            journal.append(body, Kind.ADMITTED)
        frames = [frame for _, _, frame in journal.pending(0, records)]
        journal.close()
        folder.mkdir()
        for file in Path(name).iterdir():
            shutil.copy(file, folder)
    return frames


def ours(folder: Path, filled: Path, broker: Mosquitto, store: StoreProcess, records: int) -> float:
    """Seconds to drain a copy of the journal in ``filled``."""
    shutil.copytree(filled, folder)
    board = LinkBoard(folder, broker.port, dial=False, puback_s=5.0, stall_s=3.0)
    assert board.queued() == records
    began = time.perf_counter()
    board.call(board.link.start)
    until(lambda: board.queued() == 0, 300)
    took = time.perf_counter() - began
    assert count(store) == records, "every record is in the shop"
    board.close()
    return took


def bare(broker: Mosquitto, store: StoreProcess, frames: list[bytes]) -> float:
    """Seconds until the subscriber has committed every frame of a bare paho client."""
    topic = StoreTopics("demo").of("entry-1").rec
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=mqtt.MQTTv5)
    client.username_pw_set("entry-1")
    began = time.perf_counter()
    client.connect(broker.host, broker.port)
    client.loop_start()
    for frame in frames:
        client.publish(topic, frame, 1)
    until(lambda: count(store) == len(frames), 300)
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return took


def measure(records: int, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"tallygate": [], "bare": [], "store": []}
    with tempfile.TemporaryDirectory(prefix="tallygate-bench-") as name:
        filled = Path(name) / "filled"
        frames = fill(filled, records)
        for number in range(rounds):
            folder = Path(name) / str(number)
            for part in ("one", "two", "three"):
                (folder / part).mkdir(parents=True)
            with Mosquitto(folder / "one") as broker:
                with ConsumerProcess(folder / "one", broker.port) as store:
                    store.connected()
                    found["tallygate"].append(ours(folder / "one" / "board", filled, broker, store, records))
                with MuteConsumer(folder / "two", broker.port) as store:
                    store.connected()
                    found["bare"].append(bare(broker, store, frames))
            with Mosquitto(folder / "three") as broker, StoreProcess(folder / "three", broker.port) as store:
                store.connected()
                found["store"].append(ours(folder / "three" / "board", filled, broker, store, records))
    return found


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    found = measure(records, rounds)
    middle = {name: statistics.median(times) for name, times in found.items()}
    print(
        f"Draining {records:,} records, median of {rounds} ({os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, {date.today()})\n"
    )
    print("| way | s | records/s | beside bare paho |")
    print("|---|---|---|---|")
    names = {
        "bare": "bare paho QoS 1 from memory, subscriber commits to SQLite",
        "tallygate": "journal, window and store's ack, same subscriber (goal: at most 2x)",
        "store": "the same into the real store's ledger",
    }
    for key, label in names.items():
        ratio = middle[key] / middle["bare"]
        print(f"| {label} | {middle[key]:.2f} | {records / middle[key]:,.0f} | {ratio:.2f}x |")
    runs = "; ".join(f"{key} {', '.join(f'{t:.2f}' for t in times)}" for key, times in found.items())
    print(f"\nAll rounds, s: {runs}. Machine: {platform.processor() or platform.platform()}.")


if __name__ == "__main__":
    main()
