"""The send window: its rules one by one, and as properties over any order of events."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.sync.window import (
    CHUNK,
    IN_FLIGHT,
    UNACKED,
    Action,
    Backoff,
    Key,
    NeedRows,
    Reconnect,
    Send,
    Settled,
    Window,
)

OLD, OWN = 0xA, 0xB


class Bench:
    """A window with a journal, a broker and a store made of lists. ``now`` moves by hand."""

    def __init__(self, own: int = 0, old: int = 0, **options: object) -> None:
        self.window = Window(Random(5), **options)  # type: ignore[arg-type]
        self.now = 100.0
        self.journal: list[Key] = [(OLD, n + 1) for n in range(old)]
        self.last = {OLD: old, OWN: 0}
        self.settled = {OLD: 0, OWN: 0}
        self.wire: list[Key] = []
        self.flight: list[Key] = []
        self.at_broker: list[Key] = []
        self.asked: NeedRows | None = None
        self.lost: list[str] = []
        self.up = False
        self.online: bool | None = None
        self.room = 0
        for _ in range(own):
            self.append()

    def append(self) -> None:
        self.last[OWN] += 1
        self.journal.append((OWN, self.last[OWN]))
        self.do(self.window.appended(self.now))

    def pending(self, after: Key | None, limit: int) -> list[Key]:
        start = self.journal.index(after) + 1 if after in self.journal else 0
        rows = [key for key in self.journal[start:] if key[1] > self.settled[key[0]]]
        return rows[:limit]

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(epoch, seq):
                    self.check_send((epoch, seq))
                    self.wire.append((epoch, seq))
                    self.flight.append((epoch, seq))
                case NeedRows():
                    assert self.asked is None, "one read at a time"
                    assert 0 < action.limit <= CHUNK
                    self.asked = action
                case Settled(epoch, through):
                    self.settled[epoch] = max(self.settled[epoch], through)
                case Reconnect(reason):
                    self.lost.append(reason)
                    self.disconnect()

    def check_send(self, key: Key) -> None:
        assert self.up, "sent outside a connection"
        assert self.online is not False, "sent while the store is offline"
        assert key not in self.flight, "sent twice at once"
        assert len(self.flight) < self.room, "window"
        there = set(self.flight) | set(self.at_broker)
        place = self.journal.index(key)
        older = [old for old in self.journal[:place] if old[1] > self.settled[old[0]]]
        assert all(old in there for old in older), "a younger record overtook an older one"

    def read(self) -> None:
        if self.asked is not None:
            asked, self.asked = self.asked, None
            self.do(self.window.rows(self.pending(asked.after, asked.limit), asked.limit, self.now))

    def connect(self, receive_max: int = 65535) -> None:
        self.up, self.room = True, min(IN_FLIGHT, receive_max)
        self.online = None
        self.at_broker.clear()
        self.do(self.window.connected(self.now, receive_max))

    def disconnect(self) -> None:
        self.up = False
        self.flight.clear()
        self.window.disconnected()

    def puback(self, at: int = 0, code: int = 0) -> None:
        if self.flight:
            key = self.flight.pop(at % len(self.flight))
            if code == 0:
                self.at_broker.append(key)
            self.do(self.window.puback(key, code, self.now))

    def store_takes(self) -> None:
        """The store commits what the broker gave it, contiguously, and acks."""
        for epoch in (OLD, OWN):
            through = self.settled[epoch]
            while (epoch, through + 1) in self.at_broker:
                through += 1
            if through > self.settled[epoch]:
                self.settled[epoch] = through
                self.do(self.window.ack(epoch, through, self.now))

    def status(self, online: bool | None) -> None:
        self.online = online
        self.do(self.window.store_online(online, self.now))

    def pass_time(self, seconds: float) -> None:
        """Let time pass with ticks where ``due`` asks for them."""
        end = self.now + seconds
        while (due := self.window.due()) is not None and due <= end:
            self.now = max(self.now, due)
            before = (due, len(self.wire), len(self.lost), self.window.stalls)
            if self.now >= due:
                if self.window.stalls != before[3]:
                    self.at_broker.clear()
                self.tick()
            if (self.window.due(), len(self.wire), len(self.lost), self.window.stalls) == before:
                break
        self.now = max(self.now, end)
        self.tick()

    def tick(self) -> None:
        due_stall = self.window.stalls
        actions = self.window.tick(self.now)
        if self.window.stalls != due_stall:
            self.at_broker.clear()  # what was there may be lost: it is sent again
        self.do(actions)

    def settle(self) -> None:
        """From any state: a broker and a store that work again must end up with everything."""
        for _ in range(4 * (len(self.journal) + 20)):
            if not any(self.pending(None, 1)):
                return
            if not self.up:
                self.connect()
            if self.online is False:
                self.status(True)
            self.read()
            while self.flight:
                self.puback()
            self.store_takes()
            self.pass_time(0.5)
        raise AssertionError(f"left: {self.pending(None, 10)}")


def test_sends_oldest_first_up_to_the_window() -> None:
    bench = Bench(own=50, old=3)
    assert bench.wire == [], "nothing before the connection"
    bench.connect()
    bench.read()
    assert bench.wire == [(OLD, 1), (OLD, 2), (OLD, 3)] + [(OWN, n) for n in range(1, 18)]
    bench.puback()
    assert bench.wire[-1] == (OWN, 18)


@pytest.mark.parametrize(("receive_max", "sent"), [(65535, 20), (21, 19), (10, 8), (2, 1), (1, 1)])
def test_keeps_the_receive_maximum_with_room_for_other_messages(receive_max: int, sent: int) -> None:
    bench = Bench(own=50)
    bench.connect(receive_max)
    bench.read()
    assert len(bench.wire) == sent


def test_other_messages_in_flight_take_room() -> None:
    bench = Bench(own=50)
    bench.do(bench.window.others(9, bench.now))
    bench.connect(10)
    bench.read()
    assert len(bench.wire) == 1
    bench.do(bench.window.others(0, bench.now))
    assert len(bench.wire) == 8


def test_holds_at_most_500_that_the_store_has_not_acked() -> None:
    bench = Bench(own=700)
    bench.connect()
    for _ in range(800):
        bench.read()
        bench.puback()
    assert len(bench.wire) == UNACKED
    bench.store_takes()
    bench.read()
    assert len(bench.wire) > UNACKED


def test_no_puback_in_time_asks_for_a_new_connection() -> None:
    bench = Bench(own=1, puback_s=5.0)
    bench.connect()
    bench.read()
    bench.pass_time(4.9)
    assert bench.lost == []
    bench.pass_time(0.2)
    assert bench.lost == ["no PUBACK for 5 s"]
    bench.connect()
    bench.read()
    assert bench.wire == [(OWN, 1)] * 2
    assert bench.window.resent == 1


@pytest.mark.parametrize("code", [0x10, 0x80, 0x83, 0x87, 0x97, 0x99])
def test_a_refusal_is_not_a_delivery_and_is_tried_again_after_a_while(code: int) -> None:
    bench = Bench(own=30)
    bench.connect()
    bench.read()
    for _ in range(20):
        bench.puback(code=code)
    assert len(bench.wire) == 20, "held back"
    assert bench.window.refused[code] == 20
    bench.pass_time(1.0)
    assert bench.wire[20:] == [(OWN, n) for n in range(1, 21)]
    bench.settle()


def test_refusals_wait_longer_each_time_up_to_a_bound() -> None:
    bench = Bench(own=1)
    bench.connect()
    bench.read()
    waits = []
    for _ in range(12):
        began = bench.now
        bench.puback(code=0x97)
        due = bench.window.due()
        assert due is not None
        waits.append(due - began)
        bench.pass_time(waits[-1] + 0.001)
    assert waits[0] >= 1.0
    assert max(waits) <= 30.0
    assert waits[-1] >= 15.0


def test_no_ack_progress_sends_again_from_the_first_unacked_and_waits_longer() -> None:
    bench = Bench(own=3)
    bench.connect()
    bench.read()
    for _ in range(3):
        bench.puback()
    bench.settled[OWN] = 1
    bench.do(bench.window.ack(OWN, 1, bench.now))
    bench.at_broker.clear()  # the broker lost them
    bench.pass_time(2.9)
    assert len(bench.wire) == 3
    bench.pass_time(0.2)
    bench.read()
    assert bench.wire[3:] == [(OWN, 2), (OWN, 3)]
    gaps, last = [], bench.now
    for _ in range(6):
        while bench.flight:
            bench.puback()
        count = bench.window.stalls
        while bench.window.stalls == count:
            bench.pass_time(0.25)
        gaps.append(bench.now - last)
        last = bench.now
        bench.read()
    assert [round(gap) for gap in gaps] == [6, 12, 24, 30, 30, 30]


def test_holds_while_every_store_worker_is_offline_and_goes_on_at_once() -> None:
    bench = Bench(own=5)
    bench.connect()
    bench.status(False)
    bench.read()
    assert bench.wire == []
    assert bench.window.due() is None, "no busy wait"
    bench.status(True)
    assert len(bench.wire) == 5
    for _ in range(5):
        bench.puback(code=0x10)
    bench.status(False)
    bench.status(True)
    assert len(bench.wire) == 10, "a store that came back ends the waiting"


def test_the_brokers_puback_settles_only_by_name() -> None:
    bench = Bench(own=3, receipt="broker")
    bench.connect()
    bench.read()
    bench.puback(1)
    assert bench.settled[OWN] == 0, "the first is still on its way"
    bench.puback(0, code=0x10)
    assert bench.settled[OWN] == 0
    bench.settle()
    assert bench.settled[OWN] == 3
    with pytest.raises(ValueError, match="receipt"):
        Bench(receipt="nobody")


def test_acks_late_repeated_foreign_and_ahead_change_nothing_else() -> None:
    bench = Bench(own=5)
    bench.connect()
    bench.read()
    for ack in [(OWN, 0), (0x77, 4), (OWN, 2), (OWN, 2), (OWN, 1)]:
        bench.do(bench.window.ack(*ack, bench.now))
    bench.settled[OWN] = 2
    for epoch in range(1000, 1200):
        bench.do(bench.window.ack(epoch, 9, bench.now))
    assert bench.window.strays > 100, "made-up epochs are bounded"
    bench.settle()


def test_a_false_ack_is_undone_by_the_journal() -> None:
    bench = Bench(own=5)
    bench.connect()
    bench.read()
    bench.do(bench.window.ack(OWN, 4000, bench.now))
    bench.do(bench.window.rewind(bench.now))
    bench.settle()
    assert set(bench.wire) == {(OWN, n) for n in range(1, 6)}


def test_a_nack_counts_only_for_what_was_sent() -> None:
    bench = Bench(own=1)
    bench.connect()
    assert not bench.window.wants_nack((OWN, 1))
    bench.read()
    assert bench.window.wants_nack((OWN, 1))
    bench.puback()
    assert bench.window.wants_nack((OWN, 1))
    bench.do(bench.window.reset(bench.now))
    assert not bench.window.wants_nack((OWN, 1))
    bench.read()
    assert bench.wire == [(OWN, 1)] * 2


def test_a_read_that_began_before_a_reset_is_not_used() -> None:
    bench = Bench(own=2)
    bench.connect()
    stale = bench.asked
    bench.asked = None
    bench.do(bench.window.reset(bench.now))
    assert bench.asked is None, "one read at a time"
    assert stale is not None
    bench.do(bench.window.rows([(OWN, 2)], stale.limit, bench.now))
    assert bench.wire == []
    bench.read()
    assert bench.wire == [(OWN, 1), (OWN, 2)]


def test_an_unreadable_journal_is_asked_again() -> None:
    bench = Bench(own=2)
    bench.connect()
    bench.asked = None
    bench.window.unread()
    bench.tick()
    bench.read()
    assert len(bench.wire) == 2


def test_delays_grow_have_jitter_and_a_bound() -> None:
    one, two = Backoff(1.0, 60.0, Random(1)), Backoff(1.0, 60.0, Random(2))
    first = [one.next() for _ in range(200)]
    assert first != [two.next() for _ in range(200)]
    assert all(1.0 <= delay <= 60.0 for delay in first)
    assert min(first[10:]) >= 30.0
    one.reset()
    assert one.next() <= 1.0


EVENTS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 30)),
    st.tuples(st.just("connect"), st.integers(1, 40)),
    st.tuples(st.just("disconnect"), st.just(0)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("puback"), st.integers(0, 25)),
    st.tuples(st.just("pubacks"), st.integers(1, 20)),
    st.tuples(st.just("refuse"), st.sampled_from([0x10, 0x80, 0x87, 0x97])),
    st.tuples(st.just("store"), st.just(0)),
    st.tuples(st.just("status"), st.sampled_from([True, False, None])),
    st.tuples(st.just("time"), st.floats(0.01, 8)),
    st.tuples(st.just("broker_loses_all"), st.just(0)),
    st.tuples(st.just("repeat_ack"), st.just(0)),
)


@settings(max_examples=100)
@given(
    st.integers(0, 40), st.integers(0, 5), st.lists(EVENTS, max_size=60), st.sampled_from(["store", "broker"])
)
def test_any_order_of_events_keeps_the_rules_and_loses_nothing(
    own: int, old: int, events: list[tuple[str, float]], receipt: str
) -> None:
    bench = Bench(own, old, receipt=receipt)
    for name, value in events:
        match name:
            case "append":
                for _ in range(int(value)):
                    bench.append()
            case "connect":
                bench.disconnect()
                bench.connect(int(value))
            case "disconnect":
                bench.disconnect()
            case "read":
                bench.read()
            case "puback":
                bench.puback(int(value))
            case "pubacks":
                for _ in range(int(value)):
                    bench.puback()
            case "refuse":
                bench.puback(code=int(value))
            case "store":
                if receipt == "store":
                    bench.store_takes()
            case "status":
                if bench.up:
                    bench.status(value)  # type: ignore[arg-type]
            case "time":
                bench.pass_time(value)
            case "broker_loses_all":
                bench.disconnect()
                bench.at_broker.clear()
            case "repeat_ack":
                if receipt == "store":
                    bench.do(bench.window.ack(OWN, bench.settled[OWN], bench.now))
    bench.settle()
    assert bench.settled == bench.last
    assert set(bench.wire) >= set(bench.journal)
