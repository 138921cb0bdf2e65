"""What a shopper sees: the screen, and the price list that is shown on it."""

from __future__ import annotations

from pathlib import Path

from firmware.hardware import open_display
from firmware.pricebook import PriceBook
from firmware.selftest.bench import Bench, Result
from firmware.sync.table_file import TableFault, TableFile
from firmware.wire.pricelist import TABLE
from firmware.wire.tables import SPECS
from hal.ports import DeviceLost, Event, Screen

DISPLAY_S = 10.0
TABLES = "tables.sqlite"


def display(bench: Bench) -> Result:
    section = bench.board.display
    if section.driver == "none":
        return Result(True, "no screen in the board file")
    from hal.display.painter import Painter

    events: list[Event] = []
    screen = open_display(bench.board, bench.loop, events.append)
    assert isinstance(screen, Painter)
    wanted = Screen("wait", ("Self-test", bench.site.board, "This screen works"))
    screen.show(wanted)

    def lost() -> DeviceLost | None:
        return next((event for event in events if isinstance(event, DeviceLost)), None)

    try:
        bench.until(lambda: screen.shown == wanted or lost() is not None, DISPLAY_S)
        gone = lost()
        if gone is not None:
            return Result(False, gone.reason, gone.check)
        if screen.shown != wanted:
            return Result(
                False, f"{section.path}: nothing drawn in {DISPLAY_S:g} s", "the panel and its cable"
            )
    finally:
        screen.close()
    return Result(True, f"{section.driver} {section.path}: drawn; look whether it is there and upright")


def prices(bench: Bench) -> Result:
    """Only what lies on this board's disk: the list that it would use without the shop."""
    check = (
        "connect the board to the shop: it asks for the list; `python -m store prices` shows what there is"
    )
    try:
        loaded = TableFile(Path(bench.site.data) / TABLES).load()
    except TableFault as error:
        return Result(False, str(error), "the data folder and its disk (df, dmesg)")
    buckets = {bucket: held for (name, bucket), held in loaded.tables.items() if name == TABLE}
    spoilt = next((why for held in buckets.values() if (why := PriceBook.check(held))), None)
    if spoilt is not None:
        return Result(False, spoilt, check)
    book = PriceBook()
    book.changed(buckets)
    items = book.figures()["prices_items"]
    found = f"{items} items, {len(buckets)} of {SPECS[TABLE].buckets} parts of the shop's list"
    if loaded.damaged is not None:
        return Result(None, f"{found}; {loaded.damaged}", check)
    if not buckets:
        return Result(None, "no price list has come yet", check)
    return Result(True if book.complete and items else None, found, check)
