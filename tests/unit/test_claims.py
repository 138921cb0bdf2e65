"""Claims between gates, with the broker as a list of messages in one order."""

from __future__ import annotations

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.sync.claims import ECHO_S, HOLD_S, MAX_BYTES, MAX_KEYS, Claims, Outcome

VISIT, OTHER = b"visit--1", b"visit--2"


def pair() -> tuple[Claims, Claims]:
    a, b = Claims("gate-a", b"boot-a"), Claims("gate-b", b"boot-b")
    a.connected()
    b.connected()
    return a, b


def test_the_first_in_the_brokers_order_wins_and_both_agree() -> None:
    a, b = pair()
    from_a, nothing = a.claim(VISIT, "in", 1.0)
    from_b, _ = b.claim(VISIT, "in", 1.0)
    assert nothing == []
    for board, payload in (("gate-b", from_b), ("gate-a", from_a)):  # b's reached the broker first
        at_a = a.on_claim(board, payload, 1.01)
        at_b = b.on_claim(board, payload, 1.01)
        if board == "gate-a":
            assert at_a == [Outcome(VISIT, "in", "lost")]
        else:
            assert at_b == [Outcome(VISIT, "in", "won")]


def test_other_visits_and_the_other_direction_do_not_collide() -> None:
    a, b = pair()
    b_in = b.claim(VISIT, "in", 1.0)[0]
    a.on_claim("gate-b", b_in, 1.0)
    for visit, direction in ((VISIT, "out"), (OTHER, "in")):
        assert a.on_claim("gate-a", a.claim(visit, direction, 1.0)[0], 1.0) == [
            Outcome(visit, direction, "won")
        ]


def test_no_echo_in_time_is_offline_until_an_echo_returns() -> None:
    a, _ = pair()
    late, _ = a.claim(VISIT, "in", 1.0)
    assert a.due() == 1.0 + ECHO_S
    assert a.tick(1.0 + ECHO_S * 0.9) == []
    assert a.tick(1.0 + ECHO_S) == [Outcome(VISIT, "in", "offline")]
    assert a.due() is None
    _, at_once = a.claim(OTHER, "in", 2.0)
    assert at_once == [Outcome(OTHER, "in", "offline")]
    assert a.on_claim("gate-a", late, 3.0) == [], "answered already"
    assert a.online
    payload, _ = a.claim(b"visit--3", "in", 4.0)
    assert a.on_claim("gate-a", payload, 4.01) == [Outcome(b"visit--3", "in", "won")]


def test_a_lost_link_answers_whoever_waits() -> None:
    a, _ = pair()
    a.claim(VISIT, "in", 1.0)
    assert a.disconnected(1.01) == [Outcome(VISIT, "in", "offline")]
    assert a.claim(OTHER, "in", 1.02)[1] == [Outcome(OTHER, "in", "offline")]


def test_a_claim_stands_until_a_snapshot_decides_it() -> None:
    a, b = pair()
    claim = a.claim(VISIT, "in", 1.0)[0]
    a.on_claim("gate-a", claim, 1.0)
    b.on_claim("gate-a", claim, 1.0)
    b.on_snapshot("gate-a", a.snapshot({(OTHER, "in"): 1}))  # of something else, meanwhile
    assert b.on_claim("gate-b", b.claim(VISIT, "in", 1.1)[0], 1.1) == [Outcome(VISIT, "in", "lost")]
    a.decided(VISIT, "in")
    b.on_snapshot("gate-a", a.snapshot({(VISIT, "in"): 2}))
    assert b.used(VISIT, "in") == 2
    assert b.used(VISIT, "out") == 0
    assert b.on_claim("gate-b", b.claim(VISIT, "in", 1.2)[0], 1.2) == [Outcome(VISIT, "in", "won")]
    again = b"visit--3"
    assert a.on_claim("gate-a", a.claim(again, "in", 1.3)[0], 1.3) == [Outcome(again, "in", "won")]
    b.on_snapshot("gate-a", a.snapshot({}))  # annulled: the uses are given back
    assert b.used(VISIT, "in") == 0


def test_a_claim_nobody_decides_ends_by_time_and_a_restart_ends_it_at_once() -> None:
    a, b = pair()
    b.on_claim("gate-a", a.claim(VISIT, "in", 1.0)[0], 1.0)
    late = 1.0 + HOLD_S
    assert b.on_claim("gate-b", b.claim(VISIT, "in", late)[0], late) == [Outcome(VISIT, "in", "won")]
    a, b = pair()
    b.on_claim("gate-a", a.claim(VISIT, "in", 1.0)[0], 1.0)
    b.on_snapshot("gate-a", Claims("gate-a", b"boot-2").snapshot({}))
    assert b.on_claim("gate-b", b.claim(VISIT, "in", 1.1)[0], 1.1) == [Outcome(VISIT, "in", "won")]


def test_an_own_snapshot_of_an_earlier_start_ends_no_claim() -> None:
    a, b = pair()
    a.on_claim("gate-a", a.claim(VISIT, "in", 1.0)[0], 1.0)
    a.on_snapshot("gate-a", Claims("gate-a", b"boot-0").snapshot({}))
    a.on_claim("gate-b", b.claim(VISIT, "in", 1.0)[0], 1.0)
    b.on_claim("gate-b", b.claim(VISIT, "in", 1.0)[0], 1.0)
    assert a.on_claim("gate-a", a.claim(VISIT, "in", 1.0)[0], 1.0) == [Outcome(VISIT, "in", "won")]


def test_a_lost_claim_stands_in_nobodys_way() -> None:
    a, b = pair()
    c = Claims("gate-c", b"boot-c")
    c.connected()
    for board, payload in (
        ("gate-a", a.claim(VISIT, "in", 1.0)[0]),
        ("gate-b", b.claim(VISIT, "in", 1.0)[0]),
    ):
        for gate in (a, b, c):
            gate.on_claim(board, payload, 1.0)
    a.decided(VISIT, "in")
    c.on_snapshot("gate-a", a.snapshot({}))
    assert c.on_claim("gate-c", c.claim(VISIT, "in", 1.1)[0], 1.1) == [Outcome(VISIT, "in", "won")]


def test_counts_of_several_gates_are_added_and_own_ones_are_not() -> None:
    a, b = pair()
    spent = {(VISIT, "in"): 2, (VISIT, "out"): 1, (OTHER, "in"): 0}
    for board in ("gate-b", "gate-c", "gate-a"):
        a.on_snapshot(board, b.snapshot(spent))
    assert (a.used(VISIT, "in"), a.used(VISIT, "out"), a.used(OTHER, "in")) == (4, 2, 0)
    a.on_snapshot("gate-c", b"")
    assert a.used(VISIT, "in") == 2


def test_a_snapshot_is_bounded_and_keeps_the_newest() -> None:
    a, b = pair()
    spent = {(n.to_bytes(8, "big"), "in"): 1 for n in range(MAX_KEYS + 10)}
    payload = a.snapshot(spent)
    assert len(payload) < MAX_BYTES
    b.on_snapshot("gate-a", payload)
    assert b.used((MAX_KEYS + 9).to_bytes(8, "big"), "in") == 1
    assert b.used((9).to_bytes(8, "big"), "in") == 0


@settings(max_examples=50)
@given(
    st.binary(max_size=80)
    | st.builds(cbor2.dumps, st.recursive(st.integers() | st.binary(max_size=9), st.lists))
)
def test_garbage_is_counted_and_changes_nothing(payload: bytes) -> None:
    a, _ = pair()
    assert a.on_claim("gate-b", payload, 1.0) == []
    assert a.on_claim("gate-a", payload, 1.0) == []
    a.on_snapshot("gate-b", payload)
    assert a.bad == (2 if payload == b"" else 3)
    assert a.used(VISIT, "in") == 0


class Shop:
    """Gates that reach one broker: messages wait in a queue per gate, all queues in the same order."""

    def __init__(self, gates: int, party: int) -> None:
        self.party = party
        self.gates = [Claims(f"gate-{n}", b"boot") for n in range(gates)]
        self.queues: list[list[tuple[str, str, bytes]]] = [[] for _ in self.gates]
        self.granted = [0] * gates
        self.busy: list[int | None] = [None] * gates
        for gate in self.gates:
            gate.connected()

    def say(self, kind: str, gate: int, payload: bytes) -> None:
        for queue in self.queues:
            queue.append((kind, f"gate-{gate}", payload))

    def show(self, gate: int) -> None:
        """Somebody shows the pass at this gate."""
        if self.busy[gate] is None and self.used(gate) < self.party:
            self.busy[gate] = 0
            payload, outcomes = self.gates[gate].claim(VISIT, "in", 1.0)
            assert outcomes == []
            self.say("claim", gate, payload)

    def used(self, gate: int) -> int:
        return self.granted[gate] + self.gates[gate].used(VISIT, "in")

    def deliver(self, gate: int) -> None:
        if not self.queues[gate]:
            return
        kind, board, payload = self.queues[gate].pop(0)
        if kind == "used":
            self.gates[gate].on_snapshot(board, payload)
            return
        for outcome in self.gates[gate].on_claim(board, payload, 1.0):
            if outcome.outcome == "won":
                self.busy[gate] = 1  # now on its way to the disk
            else:
                self.busy[gate] = None

    def commit(self, gate: int) -> None:
        """The disk answers: every use that is left is granted."""
        if self.busy[gate] == 1:
            self.granted[gate] += max(0, self.party - self.used(gate))
            self.done(gate)

    def done(self, gate: int) -> None:
        self.busy[gate] = None
        self.gates[gate].decided(VISIT, "in")
        self.say("used", gate, self.gates[gate].snapshot({(VISIT, "in"): self.granted[gate]}))

    def annul(self, gate: int) -> None:
        """One who was admitted here did not walk through."""
        if self.granted[gate] and self.busy[gate] is None:
            self.granted[gate] -= 1
            self.say("used", gate, self.gates[gate].snapshot({(VISIT, "in"): self.granted[gate]}))

    def refused(self, gate: int) -> None:
        """The disk failed: nothing was granted."""
        if self.busy[gate] == 1:
            self.done(gate)


STEPS = st.sampled_from(["show", "show", "deliver", "deliver", "deliver", "commit", "annul", "refused"])


@settings(max_examples=300)
@given(st.integers(2, 4), st.integers(1, 3), st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=80))
def test_in_any_interleaving_no_use_is_granted_twice(
    gates: int, party: int, steps: list[tuple[str, int]]
) -> None:
    shop = Shop(gates, party)
    for step, gate in steps:
        getattr(shop, step)(gate % gates)
        assert sum(shop.granted) <= party
    for gate in range(gates):  # let everything come to rest: the pass is not stuck
        while shop.queues[gate]:
            shop.deliver(gate)
        shop.commit(gate)
    for gate in range(gates):
        while shop.queues[gate]:
            shop.deliver(gate)
    left = party - sum(shop.granted)
    if left:
        shop.show(0)
        while shop.queues[0]:
            shop.deliver(0)
        shop.commit(0)
        assert sum(shop.granted) == party


def test_an_earlier_starts_snapshot_is_kept_for_a_lost_journal() -> None:
    before = Claims("entry-1", b"old1").snapshot({(b"visit--1", "in"): 1})
    claims = Claims("entry-1", b"new1")
    claims.on_snapshot("entry-1", before)
    assert claims.before == {b"visit--1": (1, 0)}
    assert claims.used(b"visit--1", "in") == 0
    assert not claims.twin


def test_a_snapshot_under_the_own_id_after_the_own_is_a_twin() -> None:
    claims = Claims("entry-1", b"new1")
    claims.on_snapshot("entry-1", claims.snapshot({}))
    assert not claims.twin
    claims.on_snapshot("entry-1", Claims("entry-1", b"else").snapshot({}))
    assert claims.twin
