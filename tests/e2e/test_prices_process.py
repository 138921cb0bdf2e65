"""The price list from a CSV file to a board: real broker, real store, the board's own link and disk."""

from __future__ import annotations

from pathlib import Path

from firmware.pricebook import PriceBook
from firmware.sync.link_types import Arrived, LinkUp
from firmware.sync.tables import Tables
from firmware.wire.epc import encode_sgtin96
from firmware.wire.tables import Snapshot
from store.__main__ import main
from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, until
from tests.support.storeproc import StoreProcess

DEMO = Path(__file__).parents[2] / "store" / "demo_prices.csv"
OATS, TEA = encode_sgtin96("09521234000013", 5, 7), encode_sgtin96("09527654000022", 5, 7)
ADDED = "9521234001003,Something new,3.00,,,north-mill,\n"


class PriceBoard:
    """A board reduced to its link and its tables."""

    def __init__(self, folder: Path, port: int) -> None:
        self.board = LinkBoard(folder, port, board="price-1")
        self.book = PriceBook()
        self._taken = 0
        self.tables = self.board.call(self._make, folder)

    def _make(self, folder: Path) -> Tables:
        board = self.board
        made = Tables(
            board.guard,
            board.worker,
            folder / "tables.sqlite",
            board.link,
            lambda _, snapshot: self.book.check(snapshot),
            self._changed,
            names=("prices",),
        )
        made.load()
        return made

    def _changed(self, _name: str, buckets: dict[str, Snapshot]) -> None:
        self.book.changed(buckets)

    def _pump(self) -> None:
        while self._taken < len(self.board.events):
            event = self.board.events[self._taken]
            self._taken += 1
            if isinstance(event, LinkUp):
                self.board.call(self.tables.connected)
            elif isinstance(event, Arrived) and event.kind in ("table", "delta", "ans"):
                self.board.call(self.tables.arrived, event)

    def shows(self, epc: bytes, fen: int) -> None:
        def shown() -> bool:
            self._pump()
            return self.book.complete and self.book.sum_fen([epc])[0] == fen

        until(shown, 20, f"{fen} fen: {self.book.figures()}")

    def close(self) -> None:
        self.board.call(self.tables.close)
        self.board.close()


def test_a_price_reaches_the_board_and_stays_there_without_the_shop(
    tmp_path: Path, own_broker: Mosquitto
) -> None:
    file = tmp_path / "goods.csv"
    store = StoreProcess(tmp_path / "store", own_broker.port)
    db = ("--db", f"sqlite:///{store.ledger}")
    assert main(["init", *db]) == 0
    assert main(["prices", "import", str(DEMO), *db]) == 0
    with store:
        board = PriceBoard(tmp_path / "board", own_broker.port)
        board.shows(OATS, 1480)
        assert board.tables.figures()["table_prices_version"] == 64
        before = board.book.figures()["prices_items"]
        file.write_text(DEMO.read_text().replace("14.80", "15.80") + ADDED)
        assert main(["prices", "import", str(file), *db]) == 0
        board.shows(OATS, 1580)
        board.shows(encode_sgtin96("09521234001003", 1, 7), 300)
        assert board.book.figures()["prices_items"] == before + 1
        assert board.tables.figures()["table_prices_version"] == 66
        assert board.tables.figures()["table_asked"] == 0
        board.close()
    own_broker.stop()
    again = PriceBoard(tmp_path / "board", own_broker.port)
    again.shows(OATS, 1580)
    again.shows(TEA, 990)
    again.close()
