"""The basket decision in scenarios. Reads come from the simulated field, at the board's receipt times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.portal.decision import MAX_DECLARED, REASONS, Decision, DecisionRules, Verdict
from firmware.portal.presence import MAX_KNOWN, MAX_TAGS, PresenceRules
from hal.ports import TagRead
from hal.sim.population import Population, SimTag, Walk

VETO = 3


def epc(number: int) -> bytes:
    return bytes([0x30, 0x74]) + number.to_bytes(10, "big")


def items(first: int, count: int) -> tuple[bytes, ...]:
    return tuple(epc(first + n) for n in range(count))


def read(
    which: bytes, at: float, rssi: float | None = -50.0, antenna: int = 1, raw: int = 0, pc: int = 0x3000
) -> TagRead:
    return TagRead(which, pc, antenna, rssi, raw, at)


class Portal:
    """A decision behind a simulated field: two antennas inside, the third facing away, or one antenna."""

    def __init__(self, *, antennas: int = 3, raw: bool = False, rules: DecisionRules | None = None) -> None:
        veto = frozenset({VETO}) if antennas >= VETO else frozenset()
        self.decision = Decision(rules or DecisionRules(presence=PresenceRules(veto=veto)))
        self.field = Population(seed=11, antennas=antennas, away=(VETO,) if veto else ())
        self.now = 0.0
        self.raw = raw
        self._turn = 0

    def put(self, epcs: Iterable[bytes], level: float = -48.0, **more: object) -> None:
        for one in epcs:
            self.field.add(SimTag(one, level_dbm=level, gains_db=(0.0, -3.0, -16.0), **more))  # type: ignore[arg-type]

    def shelf(self, epcs: Iterable[bytes], level: float = -64.0) -> None:
        for one in epcs:
            self.field.add(SimTag(one, level_dbm=level, gains_db=(0.0, 0.0, 8.0), group=2))

    def hear(self, seconds: float, take: Callable[[TagRead], None]) -> None:
        end = self.now + seconds
        while self.now < end:
            antenna = 1 + self._turn % self.field.antennas
            self._turn += 1
            done = self.field.inventory(self.now, antenna)
            for seen in done.reads:
                rssi = None if self.raw else seen.rssi_dbm
                take(read(seen.epc, seen.at, rssi, antenna, round(seen.rssi_dbm + 130), seen.pc))
            self.now += done.duration_s

    def before(self, seconds: float = 8.0) -> None:
        self.hear(seconds, self.decision.background)

    def begin(self) -> None:
        self.decision.begin(self.now)

    def read(self, seconds: float) -> Verdict:
        self.hear(seconds, self.decision.add)
        return self.decision.judge(self.now)

    def until_done(self, limit_s: float = 14.0) -> Verdict:
        end = self.now + limit_s
        while True:
            verdict = self.read(0.2)
            if verdict.kind != "collecting":
                return verdict
            assert self.now < end, verdict


# -- scenarios ----------------------------------------------------------------------------------


def test_a_handbag_of_twenty_clothes() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 20))
    portal.begin()
    verdict = portal.until_done()
    assert (verdict.kind, verdict.reason) == ("complete", "complete")
    assert verdict.items == items(1, 20)
    assert verdict.missing == 0
    assert verdict.unseen < 0.005
    assert verdict.weak == ()


def test_the_first_word_is_that_it_reads() -> None:
    portal = Portal()
    portal.put(items(1, 20))
    portal.begin()
    verdict = portal.read(0.15)
    assert (verdict.kind, verdict.reason) == ("collecting", "reading")
    assert verdict.unseen > 0.1
    assert verdict.next_at > portal.now


def test_foil_keeps_the_verdict_waiting_and_its_item_is_in() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 10))
    portal.put([epc(50)], level=-57.0, reads_per_s=1.5)
    portal.begin()
    verdict = portal.until_done()
    assert verdict.kind == "complete"
    assert verdict.items == items(1, 10) + (epc(50),)


def test_a_shelf_at_one_metre_is_not_bought() -> None:
    portal = Portal()
    portal.shelf(items(100, 10))
    portal.before()
    portal.put(items(1, 5))
    portal.begin()
    verdict = portal.until_done()
    assert verdict.kind == "complete"
    assert verdict.items == items(1, 5)
    assert verdict.strays >= 5


def test_an_item_taken_from_that_shelf_is_bought() -> None:
    portal = Portal()
    portal.shelf(items(100, 5))
    portal.before()
    portal.put([epc(100)])
    portal.begin()
    assert epc(100) in portal.until_done().items


def test_who_walks_past_does_not_pay_for_it_nor_does_the_shopper() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 5))
    for one in items(200, 3):
        portal.field.add(
            SimTag(one, level_dbm=-60, gains_db=(0, 0, 10), group=9, walk=Walk(portal.now + 2.0, 2.0))
        )
    portal.begin()
    verdict = portal.until_done()
    assert not set(verdict.items) & set(items(200, 3))


def test_the_next_shopper_s_bag_is_not_the_first_one_s() -> None:
    """Two people: the second waits at the line, then steps in when the first has left."""
    portal = Portal()
    portal.before()
    portal.put(items(1, 5))
    portal.shelf(items(50, 4), level=-62.0)
    portal.begin()
    first = portal.until_done()
    assert first.items == items(1, 5)
    portal.field.clear()
    portal.decision.end(portal.now)
    portal.before(4.0)
    portal.put(items(50, 4))
    portal.begin()
    assert portal.until_done().items == items(50, 4)


def test_who_comes_back_at_once_is_not_taken_for_a_shelf() -> None:
    portal = Portal()
    portal.put(items(1, 5))
    portal.begin()
    portal.until_done()
    portal.decision.end(portal.now)
    portal.before(8.0)
    portal.begin()
    assert portal.until_done().items == items(1, 5)


def test_a_tag_that_appears_before_payment_opens_the_basket_again() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 5))
    portal.begin()
    assert portal.until_done().kind == "complete"
    portal.put([epc(40)])
    kinds = [portal.read(0.1).kind for _ in range(5)]
    assert "collecting" in kinds
    verdict = portal.until_done()
    assert verdict.kind == "complete"
    assert epc(40) in verdict.items


def test_a_declared_count_that_matches_decides_at_once() -> None:
    slow, fast = Portal(), Portal()
    for portal in (slow, fast):
        portal.before()
        portal.put(items(1, 8))
        portal.begin()
        start = portal.now
    fast.decision.declare(8)
    start = fast.now
    verdict = fast.until_done()
    assert (verdict.kind, verdict.reason) == ("complete", "count-matches")
    declared_s = fast.now - start
    start = slow.now
    assert slow.until_done().kind == "complete"
    assert declared_s < slow.now - start


@pytest.mark.parametrize("said", [4, 6, 9])
def test_a_declared_count_that_differs_is_never_complete(said: int) -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 5))
    portal.begin()
    portal.decision.declare(said)
    verdict = portal.until_done()
    assert (verdict.kind, verdict.reason) == ("uncertain", "count-differs")
    assert verdict.missing == max(0, said - 5)
    portal.decision.declare(None)
    assert portal.read(0.1).kind == "complete"


def test_a_count_that_is_passed_on_the_way_does_not_match() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 20))
    portal.begin()
    portal.decision.declare(19)
    verdict = portal.until_done()
    assert (verdict.kind, verdict.reason) == ("uncertain", "count-differs")


def test_a_silent_tag_is_noticed_by_the_count_alone() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 5))
    portal.put([epc(9)], reads_per_s=0.0)
    portal.begin()
    portal.decision.declare(6)
    assert portal.until_done().kind == "uncertain"
    portal.decision.add_item(epc(9), portal.now)
    verdict = portal.read(0.4)
    assert (verdict.kind, verdict.reason) == ("complete", "count-matches")
    assert epc(9) in verdict.items


def test_a_reader_that_gives_raw_levels_only() -> None:
    portal = Portal(raw=True)
    portal.shelf(items(100, 6))
    portal.before()
    portal.put(items(1, 10))
    portal.begin()
    verdict = portal.until_done()
    assert set(verdict.items) <= set(items(1, 10))
    assert len(verdict.items) >= 9


def test_one_antenna_without_veto() -> None:
    portal = Portal(antennas=1)
    portal.before()
    portal.put(items(1, 10))
    portal.begin()
    verdict = portal.until_done()
    assert (verdict.kind, verdict.items) == ("complete", items(1, 10))


def test_four_antennas_one_of_them_a_veto() -> None:
    portal = Portal(antennas=4)
    portal.shelf(items(100, 6))
    portal.before()
    portal.put(items(1, 10))
    portal.begin()
    verdict = portal.until_done()
    assert (verdict.kind, verdict.items) == ("complete", items(1, 10))


def test_a_strong_shelf_beside_a_portal_without_veto() -> None:
    portal = Portal(antennas=1)
    portal.shelf(items(100, 4), level=-52.0)
    portal.before()
    portal.put(items(1, 5))
    portal.begin()
    assert not set(portal.until_done().items) & set(items(100, 4))


def test_without_veto_too_who_comes_back_at_once_is_no_shelf() -> None:
    portal = Portal(antennas=1)
    portal.put(items(1, 5))
    portal.begin()
    portal.until_done()
    portal.decision.end(portal.now)
    portal.before(8.0)
    portal.begin()
    assert portal.until_done().items == items(1, 5)


def test_never_complete_right_after_a_new_tag() -> None:
    decision = Decision(DecisionRules(sure=0.5, quiet_s=2.0))
    decision.begin(0.0)
    for step in range(50):
        for n in range(8):
            decision.add(read(epc(n), 0.1 * step, -45.0))
        if step >= 40:
            decision.add(read(epc(9), 0.1 * step, -45.0))
        verdict = decision.judge(0.1 * step + 0.01)
        assert verdict.kind == ("complete" if 20 <= step < 40 else "collecting"), step


def test_a_pause_between_reads_is_not_time_listened() -> None:
    def unseen(pause: float) -> float:
        decision = Decision()
        decision.begin(0.0)
        for at in (0.1, 0.4, 0.4 + pause):
            for n in range(12):
                decision.add(read(epc(n), at + 0.01 * n, -45.0))
        return decision.judge(0.6 + pause).unseen

    assert unseen(8.0) == pytest.approx(unseen(1.6), rel=0.2)
    assert unseen(8.0) > 0.02


def test_only_the_veto_antenna_hears_it() -> None:
    portal = Portal()
    portal.begin()
    for step in range(60):
        portal.decision.add(read(epc(1), step * 0.1, -45.0, VETO))
    verdict = portal.decision.judge(6.0)
    assert verdict.items == ()
    assert verdict.strays == 1


def test_nobody_has_anything() -> None:
    portal = Portal()
    portal.before()
    portal.begin()
    verdict = portal.until_done()
    assert (verdict.kind, verdict.reason, verdict.items) == ("uncertain", "empty", ())


def test_a_silent_reader_is_no_evidence_that_all_is_read() -> None:
    """Reads stop after half a second: no complete verdict from silence alone, and after a while a reason."""
    portal = Portal()
    portal.before()
    portal.put(items(1, 20))
    portal.begin()
    first = portal.read(0.4)
    times = [portal.now + 0.5 * step for step in range(1, 40)]
    verdicts = [portal.decision.judge(at) for at in times]
    assert first.kind == "collecting"
    assert all(verdict.kind != "complete" for verdict in verdicts)
    assert verdicts[-1].reason == "no-reads"


def test_a_gap_that_is_told_does_not_count_as_listening() -> None:
    portal = Portal()
    portal.before()
    portal.put(items(1, 20))
    portal.begin()
    before = portal.read(0.5).unseen
    portal.decision.gap(portal.now, portal.now + 5.0)
    portal.now += 5.0
    assert portal.decision.judge(portal.now).unseen == pytest.approx(before, rel=0.35)
    assert portal.until_done().items == items(1, 20)


def test_slow_tags_make_missing_ones_likely() -> None:
    """Twelve tags, each heard once a second at best, and given up early: the shopper is told how many."""
    rules = DecisionRules(give_up_s=2.0)
    decision = Decision(rules)
    decision.begin(0.0)
    for n in range(12):
        decision.add(read(epc(n), 0.15 * n, -45.0))
    verdict = decision.judge(2.1)
    assert verdict.kind == "uncertain"
    assert verdict.reason in ("missing", "spread")
    assert verdict.missing == math.ceil(verdict.unseen - rules.sure) >= 1


def test_too_many_tags() -> None:
    decision = Decision()
    decision.begin(0.0)
    for n in range(MAX_TAGS + 50):
        decision.add(read(epc(n), 0.001 * n))
    verdict = decision.judge(1.0)
    assert (verdict.kind, verdict.reason) == ("uncertain", "too-many")
    assert len(verdict.items) + len(verdict.weak) + verdict.strays == MAX_TAGS


def test_one_epc_on_two_tags_is_seen_by_another_pc_word() -> None:
    decision = Decision()
    decision.begin(0.0)
    for step in range(40):
        for n in range(3):
            decision.add(read(epc(n), 0.1 * step, -45.0, pc=0x3000 if n or step % 2 else 0x3400))
    assert decision.judge(4.0).duplicates == (epc(0),)


def test_one_epc_on_two_tags_is_seen_by_its_number_of_reads() -> None:
    decision = Decision()
    decision.begin(0.0)
    for step in range(60):
        for n in range(6):
            for _ in range(2 if n == 0 else 1):
                decision.add(read(epc(n), 0.1 * step, -45.0))
    assert decision.judge(6.0).duplicates == (epc(0),)


def test_what_lies_near_is_bounded_and_the_longest_unheard_go() -> None:
    decision = Decision()
    for n in range(MAX_KNOWN + 300):
        decision.background(read(epc(n), 0.01 * n, -70.0))
    decision.background(read(epc(1), 1000.0, -70.0))
    assert len(decision._near) == MAX_KNOWN
    assert decision._near.level(epc(0)) is None


def test_what_a_shopper_carries_towards_the_portal_is_never_learned_as_near() -> None:
    decision = Decision()
    for step in range(25):
        decision.background(read(epc(1), 0.1 * step))
    decision.begin(2.5)
    decision.end(3.0)
    decision.background(read(epc(2), 50.0))
    assert decision._near.level(epc(1)) is None


def test_it_learns_how_often_hard_tags_come_and_can_say_so() -> None:
    """Twelve baskets without one: the next is sure sooner, and so is a decision made with ``rules_now``."""

    def basket(decision: Decision, begin: float) -> float:
        decision.begin(begin)
        for step in range(200):
            for n in range(8):
                decision.add(read(epc(n), begin + 0.1 * step, -45.0))
            if decision.judge(begin + 0.1 * step + 0.05).kind == "complete":
                return 0.1 * step
        raise AssertionError("never complete")

    decision = Decision()
    times = []
    for number in range(12):
        times.append(basket(decision, 100.0 * number))
        decision.end(100.0 * number + 30)
    assert times[-1] < times[0]
    assert decision.rules_now.hard < decision.rules.hard
    assert basket(Decision(decision.rules_now), 2000.0) == pytest.approx(basket(decision, 2000.0))


def test_reads_before_anybody_came_are_background() -> None:
    decision = Decision()
    for step in range(100):
        decision.add(read(epc(1), 0.1 * step, -60.0))
    decision.begin(20.0)
    for step in range(30):
        decision.add(read(epc(1), 20.0 + 0.1 * step, -60.0))
    assert decision.judge(23.0).items == ()


# -- rules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [({"sure": 0.0}, "sure = 0"), ({"give_up_s": 500.0}, "give_up_s = 500"), ({"hard": 0.9}, "hard = 0.9")],
)
def test_settings_out_of_range_are_refused(bad: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DecisionRules(**bad)  # type: ignore[arg-type]


def test_contradicting_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="sure_in"):
        PresenceRules(sure_in=-5.0)
    with pytest.raises(ValueError, match="veto_in_db"):
        PresenceRules(veto_in_db=-10.0)
    with pytest.raises(ValueError, match="approach_s"):
        PresenceRules(approach_s=0.0)


@pytest.mark.parametrize("count", [-1, MAX_DECLARED + 1])
def test_an_impossible_count_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="declared count"):
        Decision().declare(count)


def test_every_reason_has_short_words_for_the_shopper_and_a_hint() -> None:
    for reason in REASONS.values():
        assert 1 <= len(reason.lines) <= 3
        assert all(len(line) <= 26 for line in reason.lines)
        assert reason.hint


# -- properties ---------------------------------------------------------------------------------------

reads_strategy = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, 80),
        st.one_of(st.none(), st.floats(-80, -30)),
        st.integers(1, 4),
    ),
    max_size=120,
)


def fed(reads: Iterable[tuple[int, int, float | None, int]], declared: int | None) -> Decision:
    decision = Decision(DecisionRules(presence=PresenceRules(veto=frozenset({VETO}))))
    decision.begin(0.0)
    decision.declare(declared)
    for number, tick, rssi, antenna in reads:
        decision.add(read(epc(number), tick * 0.1, rssi, antenna, 60))
    return decision


@given(reads=reads_strategy, declared=st.one_of(st.none(), st.integers(0, 14)), at=st.floats(0.1, 30.0))
@settings(max_examples=80, deadline=None)
def test_whatever_is_read_the_verdict_keeps_its_promises(
    reads: list[tuple[int, int, float | None, int]], declared: int | None, at: float
) -> None:
    ordered = sorted(reads, key=lambda one: one[1])
    verdict = fed(ordered, declared).judge(at)
    assert set(verdict.items) <= {epc(number) for number, *_ in reads}
    assert not set(verdict.items) & set(verdict.weak)
    assert list(verdict.items) == sorted(set(verdict.items))
    assert set(verdict.duplicates) <= set(verdict.items)
    assert verdict.reason in REASONS
    assert verdict.next_at > at
    assert verdict.unseen >= 0
    if verdict.kind == "complete":
        assert verdict.items
        assert not verdict.weak
        assert verdict.missing == 0
        assert declared is None or len(verdict.items) == declared
    heard_inside = {epc(number) for number, _, _, antenna in reads if antenna != VETO}
    assert set(verdict.items) <= heard_inside


@given(
    numbers=st.lists(st.integers(0, 20), min_size=1, max_size=30, unique=True),
    draw=st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_the_order_of_simultaneous_reads_does_not_matter(numbers: list[int], draw: object) -> None:
    one, other = Decision(), Decision()
    for decision in (one, other):
        decision.begin(0.0)
    for step in range(6):
        burst = [read(epc(n), 0.3 * step, -40.0 - n) for n in numbers]
        for item in burst:
            one.add(item)
        draw.shuffle(burst)  # type: ignore[attr-defined]
        for item in burst:
            other.add(item)
    assert one.judge(2.0) == other.judge(2.0)
