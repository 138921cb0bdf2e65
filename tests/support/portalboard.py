"""A whole portal in stepped time, with tags that its simulated module really sends, and a shop beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware.sync.link import Arrived
from firmware.wire.offers import Offer, PayStand, basket_id, decode_pay_question
from firmware.wire.records import Basket, BasketClosed, PaidAtPortal, decode_body, parse_frame
from tests.support.portaldouble import epc
from tests.support.stepped import SteppedBoard

CODE = "134567890123456789"
EACH_FEN = 100


class PortalBoard(SteppedBoard):
    def __init__(self, data: Path, lane: str, **change: Any) -> None:
        display = {"display": {"driver": "png", "path": str(data / "screen.png")}} if lane == "store" else {}
        super().__init__(data, file="sim-portal.toml", portal={"payment": lane}, **display, **change)

    def lay(self, *numbers: int) -> None:
        """Exactly these items are in the portal."""
        self.app.hardware.module.present([epc(number) for number in numbers])

    def until(self, state: str, within_s: float = 40.0) -> None:
        """Stepped seconds pass until the portal is ``state``."""
        for _ in range(round(within_s * 20)):
            if self.state == state:
                return
            self.advance(0.05)
        raise AssertionError(f"the portal is {self.state}, not {state}; {self.told[-5:]}")

    def baskets(self) -> list[Basket]:
        return [one for one in self.records() if isinstance(one, Basket)]

    def closings(self) -> list[BasketClosed]:
        return [one for one in self.records() if isinstance(one, BasketClosed)]

    def paid(self) -> list[PaidAtPortal]:
        return [one for one in self.records() if isinstance(one, PaidAtPortal)]

    @property
    def screen(self) -> str:
        return " / ".join(self.app.station._base.lines)


@dataclass
class Asked:
    name: str
    payload: bytes
    correlation: bytes


@dataclass
class Shop:
    """Takes the board's questions in the link's place and answers them by ``policy`` of a test.

    ``offers``, ``pays``: what to answer (None: nothing); by default a price by count, and paid."""

    board: PortalBoard
    asked: list[Asked] = field(default_factory=list)
    charged: list[int] = field(default_factory=list)
    up: bool = True
    offers: Callable[[Asked], bytes | None] | None = None
    pays: Callable[[Asked], bytes | None] | None = None

    def __post_init__(self) -> None:
        link = self.board.app.uplink.link
        link.publish = self._publish  # type: ignore[method-assign]

    def _publish(self, topic: str, payload: bytes, *given: Any) -> bool:
        name = topic.rpartition("/")[2]
        if not self.up:
            return False
        if name not in ("offer", "pay"):
            return True
        asked = Asked(name, payload, given[-1])
        self.asked.append(asked)
        answer = (self.offers or self.price) if name == "offer" else (self.pays or self.take)
        said = answer(asked)
        if said is not None:
            self.board.loop.call_later(0.05, self.say, asked, said)
        return True

    def say(self, asked: Asked, payload: bytes, **change: Any) -> None:
        """An answer of the shop, as it comes out of the link."""
        given = {
            "kind": "ans",
            "names": (asked.name,),
            "payload": payload,
            "retained": False,
            "correlation": asked.correlation,
            "at": self.board.loop.time(),
        }
        station = self.board.app.station
        self.board.guard.call(station.arrived, Arrived(**{**given, **change}))

    def price(self, asked: Asked) -> bytes:
        found = parse_frame(asked.payload)
        record = decode_body(found.body)
        assert isinstance(record, Basket)
        name = basket_id(found.epoch, record.ref_seq or found.seq)
        total = EACH_FEN * record.count
        return Offer(name, record.version, total, total).encode()

    def take(self, asked: Asked, state: str = "paid", why: str = "") -> bytes:
        question = decode_pay_question(asked.payload)
        if question.code is not None and state == "paid":
            self.charged.append(question.total_fen)
        order = f"o{len(self.charged)}" if state == "paid" else ""
        total = question.total_fen
        return PayStand(question.basket, question.version, state, total, "01" * 8, order, why).encode()

    def pay_questions(self) -> list[dict[str, Any]]:
        return [json.loads(one.payload) for one in self.asked if one.name == "pay"]


