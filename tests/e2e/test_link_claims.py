"""Two gates, one real broker: a use is granted once while both reach it, and flagged where they do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cbor2

from firmware.sync.claims import KEEP_S, Claims, Outcome
from firmware.sync.link import Arrived, LinkUp
from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, until


class Gate:
    """A board's link with its claims, joined as the board's loop joins them."""

    def __init__(self, board: LinkBoard, name: str) -> None:
        self.board, self.name = board, name
        self.claims = Claims(name, b"boot")
        self.outcomes: list[Outcome] = []
        self.spent: dict[tuple[bytes, str], int] = {}
        board.link._post = self.event  # type: ignore[method-assign]

    def event(self, event: object) -> None:
        now = self.board.loop.time()
        if isinstance(event, LinkUp):
            self.claims.connected()
            self.show()
        elif isinstance(event, Arrived) and event.kind == "claim":
            self.outcomes += self.claims.on_claim(event.names[0], event.payload, now)
        elif isinstance(event, Arrived) and event.kind == "used":
            self.claims.on_snapshot(event.names[0], event.payload)

    def show(self) -> None:
        link = self.board.link
        link.publish(link.topics.used, self.claims.snapshot(self.spent), 1, True, KEEP_S)

    def claim(self, visit: bytes) -> None:
        """On the loop: ask the other gates."""
        link = self.board.link
        payload, outcomes = self.claims.claim(visit, "in", self.board.loop.time())
        link.publish(link.topics.claim, payload, 1)
        self.outcomes += outcomes
        self.board.loop.call_later(0.11, self.tick)

    def tick(self) -> None:
        self.outcomes += self.claims.tick(self.board.loop.time())

    def grant(self, visit: bytes, uses: int) -> None:
        self.spent[visit, "in"] = uses
        self.claims.decided(visit, "in")
        self.show()

    def now(self, fn: object, *args: object) -> None:
        self.board.loop.call_soon_threadsafe(fn, *args)  # type: ignore[arg-type]


@contextmanager
def gates(folder: Path, broker: Mosquitto, prefix: str) -> Iterator[tuple[Gate, Gate]]:
    names = (f"{prefix}-1", f"{prefix}-2")
    with (
        LinkBoard(folder / names[0], broker.port, board=names[0], retry_s=5.0) as one,
        LinkBoard(folder / names[1], broker.port, board=names[1], retry_s=5.0) as two,
    ):
        pair = Gate(one, names[0]), Gate(two, names[1])
        for gate in pair:
            gate.board.link_up()
            gate.board.call(gate.claims.connected)
        yield pair


def test_two_gates_that_claim_at_once_find_one_winner(tmp_path: Path, broker: Mosquitto) -> None:
    with gates(tmp_path, broker, "claim") as (one, two):
        for number in range(30):
            visit = number.to_bytes(8, "big")
            one.now(one.claim, visit)
            two.now(two.claim, visit)
            until(lambda: len(one.outcomes) > number and len(two.outcomes) > number)  # noqa: B023
            assert sorted([one.outcomes[-1].outcome, two.outcomes[-1].outcome]) in (
                ["lost", "won"],
                ["lost", "offline"],  # a busy machine: the echo was late, and the record says so
                ["offline", "won"],
                ["offline", "offline"],
            )


def test_what_one_gate_granted_the_other_counts_also_after_it_was_away(
    tmp_path: Path, own_broker: Mosquitto
) -> None:
    visit, later = b"visit--1", b"visit--2"
    with gates(tmp_path, own_broker, "used") as (one, two):
        one.now(one.claim, visit)
        until(lambda: one.outcomes)
        one.board.call(one.grant, visit, 2)
        until(lambda: two.claims.used(visit, "in") == 2)
        two.board.call(two.board.link._lost, "test: the cable is out")
        two.board.call(two.claims.disconnected, 0.0)
        one.board.call(one.grant, later, 1)
        two.board.call(two.claim, visit)
        assert two.outcomes == [Outcome(visit, "in", "offline")], "no link: at once, without waiting"
        two.board.call(two.board.link._connect)
        until(lambda: two.claims.used(later, "in") == 1, what="the retained snapshot")


def test_garbage_on_the_claim_topics_is_counted(tmp_path: Path, broker: Mosquitto) -> None:
    with gates(tmp_path, broker, "bad") as (one, two):
        for payload in (b"", b"\xff", cbor2.dumps([1, b"boot", 1, b"short", 0]), cbor2.dumps({1: 2})):
            one.board.call(one.board.link.publish, one.board.link.topics.claim, payload, 1)
        until(lambda: two.claims.bad == 4 and one.claims.bad == 4)
        two.now(two.claim, b"visit--9")
        until(lambda: two.outcomes)
