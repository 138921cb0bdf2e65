"""A price point: from the first read of a tag to its price on the display. Prints a table.

    python benchmarks/bench_pricepoint.py [--shown N]

A real board process as ``boards/sim-pricepoint.toml`` has it, with a display that is a PNG file, over a
pseudo-terminal to the simulated R200; real broker and store, a list of 40,000 goods. The clock starts when
the bytes of the first read came out of the terminal and stops when the finished picture has its name; the
process notes both itself, on the kernel's monotonic clock.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import goal, percentile, table, title
from firmware.portal.pricetext import short, yuan
from firmware.wire.epc import encode_sgtin96
from firmware.wire.gtin import check_digit
from store.__main__ import main as store_command
from tests.support.boardproc import BOARDS, BoardProcess, Ears
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.storeproc import StoreProcess

GOODS = 40_000
GOAL_MS = 200.0
HEALTH = "tallygate/1/demo/price-1/health"
pause = threading.Event().wait


def gtin(number: int) -> str:
    body = f"952{number:09d}"
    return body + str(check_digit(body))


def name(number: int) -> str:
    return f"Oat drink no. {number}, barista, 1 l"


def fen(number: int, dearer: int) -> int:
    return 100 + number % 9900 + dearer


def price_list(path: Path, dearer: int) -> None:
    rows = (
        f'{gtin(n)},"{name(n)}",{fen(n, dearer) / 100:.2f},100 ml,{fen(n, dearer) / 1000:.2f},north-mill,'
        for n in range(GOODS)
    )
    path.write_text("\n".join(["gtin,name,price,unit,unit_price,brand,zone", *rows]) + "\n")


class Rig:
    """A price point with a list, and the notes that its process makes."""

    def __init__(self, folder: Path, broker: Mosquitto, store: StoreProcess) -> None:
        self.file = folder / "goods.csv"
        self.store, self.dearer, self.shown = store, 0, 0
        display = {"driver": "png", "path": str(folder / "screen.png")}
        self.board = BoardProcess(
            folder,
            broker.port,
            file=BOARDS / "sim-pricepoint.toml",
            display=display,
            pricepoint={"clear_s": 0.7},  # idle again sooner: more items a minute
        )
        self.notes = folder / "notes"
        self.board.command = ["-m", "benchmarks.timed_board", "--out", str(self.notes), "--prices"]
        self.ears = Ears(broker.port)

    def change(self, dearer: int) -> None:
        """Another price for every one of the goods; returns when the ledger has it."""
        self.dearer = dearer
        price_list(self.file, dearer)
        db = ("--db", f"sqlite:///{self.store.ledger}")
        if store_command(["prices", "import", str(self.file), *db, "--shrink"]):
            raise SystemExit("the list was refused")

    def has_list(self) -> None:
        until(lambda: self.ears.get(HEALTH).get("prices_items") == GOODS, 60, "the list at the board")

    def present(self, *, any_price: bool = False, clear: bool = True) -> tuple[float, float]:
        """Another item: ms from its first read, and from when it was held there, to the display."""
        self.shown += 1
        number = self.shown * 13 % GOODS
        epc = encode_sgtin96(gtin(number).zfill(14), self.shown, 7).hex()
        begun = len(self.lines())
        held_at = time.monotonic()
        self.board.world.ask(tags=[epc])
        wanted = short(name(number))
        price = yuan(fen(number, self.dearer))

        def found(kind: str) -> float | None:
            for line in self.lines()[begun:]:
                if line[0] == kind == "tag" and line[1] == epc:
                    return float(line[2])
                if line[0] == kind == "screen" and wanted in line[1] and (any_price or price in line[1]):
                    return float(line[2])
            return None

        until(lambda: found("screen") is not None, 10, f"{name(number)} on the display")
        read, shown = found("tag"), found("screen")
        assert read is not None
        assert shown is not None
        if clear:
            self.board.world.ask(tags=[])
            until(lambda: self.lines()[-1][1][0] == "Price check", 10, "the idle screen")
        return (shown - read) * 1000, (shown - held_at) * 1000

    def lines(self) -> list[list[Any]]:
        whole, _, _ = self.notes.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def close(self) -> None:
        self.board.stop()
        self.board.close()
        self.ears.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="First read of a tag to its price on the display.")
    parser.add_argument("--shown", type=int, default=50, help="items held to it in each row")
    count = parser.parse_args().shown
    place = Path(__file__).resolve().parents[1] / "build"  # a disk; /tmp is memory on many machines
    place.mkdir(exist_ok=True)
    rows: dict[str, list[tuple[float, float]]] = {}
    title("A price point: first read to price on the display")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as folder_name:
        folder = Path(folder_name)
        (folder / "broker").mkdir()
        with Mosquitto(folder / "broker") as broker, StoreProcess(folder / "store", broker.port) as store:
            store.connected()
            rig = Rig(folder / "board", broker, store)
            try:
                rig.board.start()
                with contextlib.redirect_stdout(io.StringIO()):
                    rig.change(0)
                rig.has_list()
                pause(5.0)  # the store's own copies have gone out
                rows["online"] = [rig.present() for _ in range(count)]
                rows["the next item at once, swapped"] = [rig.present(clear=False) for _ in range(count)]
                rig.board.world.ask(tags=[])
                rows["while all 40,000 prices change"] = changing(rig, count)
                pause(5.0)
                broker.stop()
                rows["no broker"] = [rig.present(any_price=True) for _ in range(count)]
                rig.board.stop()
                rig.board.start()
                pause(2.0)
                rows["no broker, restarted: the list from its disk"] = [
                    rig.present(any_price=True) for _ in range(count)
                ]
            finally:
                rig.close()
    figures = []
    for label, found in rows.items():
        read, held = ([one[column] for one in found] for column in (0, 1))
        after = [f"{percentile(read, p):.1f}" for p in (50, 99)]
        before = f"{percentile(held, 50):.0f} / {percentile(held, 99):.0f}"
        figures.append([label, len(found), *after, f"{max(read):.1f}", before])
    heads = ["first read to display, ms", "items", "p50", "p99", "worst", "held there to display, p50 / p99"]
    table(heads, figures)
    worst = max(percentile([read for read, _ in found], 99) for found in rows.values())
    print(f"Goal, p99 at most {GOAL_MS:.0f} ms: {goal(worst <= GOAL_MS)} ({worst:.1f} ms)\n")
    return 0


def changing(rig: Rig, count: int) -> list[tuple[float, float]]:
    """Items held there while whole lists arrive, one after the other."""
    found: list[tuple[float, float]] = []
    ended = threading.Event()

    def change() -> None:
        dearer = 0
        while not ended.is_set():
            dearer += 100
            with contextlib.redirect_stdout(io.StringIO()):
                rig.change(dearer)
            ended.wait(1.0)

    changer = threading.Thread(target=change, name="changer")
    changer.start()
    try:
        while len(found) < count:
            found.append(rig.present(any_price=True))
    finally:
        ended.set()
        changer.join()
    return found


if __name__ == "__main__":
    raise SystemExit(main())
