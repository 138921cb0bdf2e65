"""Tags to a paid basket: a portal process, a real broker, the real store, WeChat Pay's double over HTTP."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from store.__main__ import main
from store.pay.double.__main__ import write
from store.pay.double.server import Double
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.payruns import code
from tests.support.portalproc import NAME, PortalProcess
from tests.support.shoptill import check_sums
from tests.support.storeproc import StoreProcess
from tests.support.wechat import keys

DEMO = Path(__file__).parents[2] / "store" / "demo_prices.csv"
PRICE = 1480


class Watcher:
    """What the portal tells of its states."""

    def __init__(self, port: int) -> None:
        self.states: deque[str] = deque()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="watcher")
        self._client.on_message = self._heard
        self._client.on_connect = lambda *_: self._client.subscribe(f"tallygate/1/demo/{NAME}/live")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _heard(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        told = json.loads(message.payload)
        if told.get("event") == "state":
            self.states.append(str(told.get("state") or told.get("to")))

    def reaches(self, state: str, limit_s: float, portal: PortalProcess) -> None:
        def there() -> bool:
            while self.states:
                if self.states.popleft() == state:
                    return True
            return False

        until(there, limit_s, f"{state}: {portal.log()[-2000:]}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _rows(store: StoreProcess, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"file:{store.ledger}?mode=ro", uri=True, timeout=10) as db:
        return db.execute(query).fetchall()


def _shopper(portal: PortalProcess, watcher: Watcher, items: range) -> None:
    watcher.states.clear()
    portal.take_away()
    portal.stand(1)
    portal.lay(*items)
    watcher.reaches("awaiting-payment", 20, portal)


def _receipts(store: StoreProcess) -> list[tuple[str, int]]:
    """(order, fen) of every basket of which the portal was told that it is paid."""
    found = _rows(store, "SELECT detail FROM events WHERE name = 'paid_at_portal' ORDER BY seq")
    details = [json.loads(str(detail)) for (detail,) in found]
    return [(detail["order"], detail["total_fen"]) for detail in details]


def test_tags_are_offered_paid_and_booked_also_across_a_kill(tmp_path: Path, own_broker: Mosquitto) -> None:
    folder = tmp_path / "pay"
    store_folder = tmp_path / "store"
    store_folder.mkdir()
    ledger = f"sqlite:///{store_folder / 'ledger.sqlite'}"
    assert main(["init", "--db", ledger]) == 0
    assert main(["prices", "import", str(DEMO), "--db", ledger]) == 0
    with Double(keys()) as double:
        write(folder, keys(), double.url)
        store = StoreProcess(store_folder, own_broker.port, provider=folder / "pay.toml").start()
        display = {"driver": "png", "path": str(tmp_path / "screen.png")}
        portal = PortalProcess(tmp_path, own_broker.port, portal={"payment": "store"}, display=display)
        watcher = Watcher(own_broker.port)
        try:
            portal.start()
            store.connected()
            _shopper(portal, watcher, range(3))
            shown = code("00", 1)
            portal.show(shown)
            watcher.reaches("paid", 15, portal)
            until(lambda: len(_receipts(store)) == 1, 10, store.log())
            portal.lay()
            portal.stand(0)
            watcher.reaches("idle", 15, portal)

            _shopper(portal, watcher, range(10, 12))
            silent = code("13", 2)  # processed, and never answered
            portal.show(silent)
            asked = "SELECT count(*) FROM attempts WHERE state = 'asked'"
            until(lambda: _rows(store, asked) == [(1,)], 10, portal.log())
            until(lambda: double.bank.net_fen() == 5 * PRICE, 10, store.log())
            store.kill()
            store.start()
            watcher.reaches("paid", 40, portal)
            until(lambda: len(_receipts(store)) == 2, 10, store.log())
        finally:
            watcher.close()
            portal.close()
            store.stop()
        assert check_sums(store.ledger) == double.bank.net_fen() == 5 * PRICE
        booked = _rows(store, "SELECT order_no, amount_fen FROM charges ORDER BY at_ms")
        assert booked == _receipts(store)
        assert all(double.bank.charges(str(order)) == 1 for order, _ in booked)
        assert double.guard.reasons == []
        assert _rows(store, "SELECT count(*) FROM open_tags") == [(0,)]
        for said in (portal.log(), store.log()):
            assert shown not in said
            assert silent not in said
