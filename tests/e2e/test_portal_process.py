"""A portal process, its module on a pseudo-terminal, a real broker and the real store: tags to the ledger."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

from firmware.wire.records import Basket, BasketClosed, decode_body
from firmware.wire.taglist import decode
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.portaldouble import epc
from tests.support.portalproc import NAME, PortalProcess
from tests.support.storeproc import StoreProcess

ITEMS = 4


def _shopper(portal: PortalProcess, number: int) -> set[bytes]:
    items = range(ITEMS * number, ITEMS * number + ITEMS)
    portal.stand(1)  # first: tags in front of an empty portal lie on a shelf
    portal.lay(*items)
    return {epc(item) for item in items}


def kill_and_check(tmp_path: Path, broker: Mosquitto, kills: int, seed: int) -> None:
    """``kills`` SIGKILLs at random moments of a shopper's stay; then the ledger is held to the contract."""
    rng = random.Random(seed)
    shown: list[set[bytes]] = []
    with StoreProcess(tmp_path / "store", broker.port) as store:
        display = {"driver": "png", "path": str(tmp_path / "screen.png")}
        portal = PortalProcess(tmp_path, broker.port, portal={"payment": "store"}, display=display)
        try:
            for number in range(kills):
                portal.start()
                before = len(portal.submitted())
                shown.append(_shopper(portal, number))
                if rng.random() < 0.6:
                    end = time.monotonic() + 8  # a decision may be unsure of a bag: then it is cut there
                    while len(portal.submitted()) == before and time.monotonic() < end:
                        threading.Event().wait(0.02)
                    threading.Event().wait(rng.uniform(0.0, 0.05))
                    if rng.random() < 0.3:
                        portal.stand(0)
                        threading.Event().wait(rng.uniform(1.4, 1.8))
                else:
                    threading.Event().wait(rng.uniform(0.0, 3.0))
                portal.kill()
            portal.start()
            said = portal.submitted()
            records = until(lambda: _settled(store, portal, said), 60, portal.log()[-2000:])
        finally:
            portal.close()
    rows = store.rows(NAME)
    seqs = [seq for _, seq, _ in rows]
    assert seqs == list(range(1, len(seqs) + 1)), "a gap or a repeat in the ledger"
    baskets = [(seq, record) for seq, record in records if isinstance(record, Basket)]
    names = {(record.ref_seq or seq, record.version) for seq, record in baskets}
    assert len(names) == len(baskets), "a version of a basket is there twice"
    assert {(first, version) for _, first, version in said} <= names, "a submitted basket is lost"
    firsts = {record.ref_seq or seq for seq, record in baskets}
    closings = Counter(record.ref_seq for _, record in records if isinstance(record, BasketClosed))
    assert set(closings) == firsts, "a basket stays open for ever, or one is closed that never was"
    assert max(closings.values(), default=0) <= 1
    for _, record in baskets:
        assert any(set(decode(record.tags)) <= items for items in shown), "a basket of two shoppers"
    assert baskets, "no basket at all: the test shows nothing"


def _settled(store: StoreProcess, portal: PortalProcess, said: list[tuple[str, int, int]]) -> list:
    """(seq, record) of everything in the ledger, once every basket that was spoken of is closed there."""
    records = [(seq, decode_body(body)) for _, seq, body in store.rows(NAME)]
    closed = {record.ref_seq for _, record in records if isinstance(record, BasketClosed)}
    firsts = {record.ref_seq or seq for seq, record in records if isinstance(record, Basket)}
    return records if {first for _, first, _ in said} <= firsts and firsts <= closed else []


def test_tags_reach_the_ledger(tmp_path: Path, own_broker: Mosquitto) -> None:
    with (
        StoreProcess(tmp_path / "store", own_broker.port) as store,
        PortalProcess(tmp_path, own_broker.port) as portal,
    ):
        items = _shopper(portal, 0)

        def counted() -> list[Basket]:
            records = [decode_body(body) for body in store.bodies(NAME)]
            return [record for record in records if isinstance(record, Basket)]

        (basket,) = until(counted, 30, portal.log()[-2000:])
        assert set(decode(basket.tags)) == items
        assert (basket.verdict, basket.version) == ("complete", 1)
