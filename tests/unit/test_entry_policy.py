"""From a judged code to a grant: claim, disk, lateness, faults and what is given back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firmware.gate import facts
from firmware.gate.admission import Admissible, Verdict
from firmware.gate.entry import AT_ONCE, REFUSALS_A_MINUTE, EntryPolicy, Rules
from firmware.gate.machine import Gate
from firmware.gate.orders import (
    Claim,
    Claimed,
    Commit,
    CommitFailed,
    Committed,
    Drive,
    GiveBack,
    Note,
    Order,
    Say,
)
from firmware.gate.timing import Timing
from firmware.wire.record_types import Alarm, Flags, Refused
from firmware.wire.refusals import REASONS, Refusal
from hal.ports import InputChanged

VISIT = b"visit--1"
LEVELS = {"leaf": True, "beam_outer": False, "beam_inner": False, "fire": False, "help": False}


def policy(**rules: Any) -> EntryPolicy:
    made = EntryPolicy(Gate(Timing(), motor=True), Rules(**rules))
    made.handle(facts.Levels(LEVELS), 0.0)
    return made


def good(
    visit: bytes = VISIT, party: int = 1, kind: str = "entry", unsure: bool = False, left: int | None = None
) -> Verdict:
    return Verdict("pass", Admissible(visit, party, kind, unsure=unsure, left=left), visit)


def of(orders: list[Order], kind: type) -> list[Any]:
    return [order for order in orders if isinstance(order, kind)]


def released(orders: list[Order]) -> bool:
    return Drive("release", True) in orders


def notes(orders: list[Order], kind: type) -> list[Note]:
    return [note for note in of(orders, Note) if note.kind is kind]


def commit(made: EntryPolicy, verdict: Verdict, now: float) -> Commit:
    (claim,) = of(made.handle(verdict, now), Claim)
    (order,) = of(made.handle(Claimed(claim.token, "won"), now), Commit)
    return order


def test_nothing_moves_before_the_commit_returned() -> None:
    made = policy()
    first = made.handle(good(), 1.0)
    assert not released(first)
    (claim,) = of(first, Claim)
    second = made.handle(Claimed(claim.token, "won"), 1.0)
    assert not released(second)
    (order,) = of(second, Commit)
    assert (order.visit, order.direction, order.party, order.flags) == (VISIT, "in", 1, Flags.NONE)
    assert released(made.handle(Committed(order.token, 1), 1.01))
    assert made.used(VISIT) == 1


def test_lost_claim_is_refused_as_used() -> None:
    made = policy()
    (claim,) = of(made.handle(good(), 1.0), Claim)
    orders = made.handle(Claimed(claim.token, "lost"), 1.0)
    assert Say("refused", "used") in orders
    assert not of(orders, Commit)


def test_unanswered_claim_counts_as_offline() -> None:
    made = policy()
    made.handle(good(), 1.0)
    due = made.deadline()
    assert due is not None
    (order,) = of(made.handle(facts.Tick(), due), Commit)
    assert order.flags == Flags.OFFLINE


def test_used_up_on_disk_is_refused() -> None:
    made = policy()
    order = commit(made, good(), 1.0)
    orders = made.handle(Committed(order.token, 0), 1.0)
    assert Say("refused", "used") in orders
    assert not released(orders)


def test_slow_disk_says_one_moment_then_refuses_and_gives_back_when_late() -> None:
    made = policy()
    order = commit(made, good(), 1.0)
    assert made.handle(facts.Tick(), 1.149) == []
    assert Say("one-moment") in made.handle(facts.Tick(), 1.15)
    orders = made.handle(facts.Tick(), 1.5)
    assert Say("refused", "disk-fault") in orders
    assert notes(orders, Alarm)[0].fields["kind"] == "disk-fault"
    late = made.handle(Committed(order.token, 1), 3.0)
    assert not released(late)
    assert of(late, GiveBack) == [GiveBack(order.token, VISIT, "in", 1, "too-late")]
    assert made.used(VISIT) == 0


def test_failed_disk_refuses_by_default() -> None:
    made = policy()
    order = commit(made, good(), 1.0)
    orders = made.handle(CommitFailed(order.token, "disk full"), 1.0)
    assert Say("refused", "disk-fault") in orders
    assert not released(orders)
    assert made.used(VISIT) == 0


def test_failed_disk_admits_in_memory_by_name() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(), 1.0)
    orders = made.handle(CommitFailed(order.token, "disk full"), 1.0)
    assert released(orders)
    (late,) = of(orders, Commit)
    assert late.granted == 1
    assert late.flags & Flags.IN_MEMORY
    assert notes(orders, Alarm)
    # The same pass again: this gate remembers without a disk.
    made.handle(InputChanged("leaf", False, 1.1), 1.1)
    second = commit(made, good(), 2.0)
    orders = made.handle(CommitFailed(second.token, "disk full"), 2.0)
    assert Say("refused", "used") in orders


def test_slow_disk_in_memory_is_written_once() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(), 1.0)
    made.handle(facts.Tick(), 1.15)
    assert released(made.handle(facts.Tick(), 1.5))
    assert made.handle(Committed(order.token, 1), 3.0) == []
    assert made.used(VISIT) == 1


def test_slow_disk_in_memory_that_fails_is_kept_for_later() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(), 1.0)
    made.handle(facts.Tick(), 1.15)
    made.handle(facts.Tick(), 1.5)
    (late,) = made.handle(CommitFailed(order.token, "gone"), 3.0)
    assert isinstance(late, Commit)
    assert late.granted == 1


def test_fire_between_commit_and_grant_gives_back() -> None:
    made = policy()
    order = commit(made, good(), 1.0)
    made.handle(InputChanged("fire", True, 1.01), 1.01)
    orders = made.handle(Committed(order.token, 1), 1.02)
    assert of(orders, GiveBack) == [GiveBack(order.token, VISIT, "in", 1, "gate-not-ready")]
    assert made.used(VISIT) == 0


def test_unused_admission_is_annulled_and_given_back() -> None:
    made = policy()
    order = commit(made, good(party=3), 1.0)
    made.handle(Committed(order.token, 3), 1.0)
    given: list[GiveBack] = []
    made.handle(InputChanged("leaf", False, 1.5), 1.5)
    while (due := made.deadline()) is not None and due < 60 and not given:
        given += of(made.handle(facts.Tick(), due), GiveBack)
    assert given == [GiveBack(order.token, VISIT, "in", 3, "not-used")]
    assert made.used(VISIT) == 0


def test_same_pass_while_on_its_way_is_ignored_and_others_queue() -> None:
    made = policy()
    made.handle(good(), 1.0)
    assert made.handle(good(), 1.0) == []
    for n in range(AT_ONCE - 1):
        assert of(made.handle(good(b"other--%d" % n), 1.0), Claim)
    assert Say("refused", "busy") in made.handle(good(b"too-many"), 1.0)


def test_exit_is_granted_before_the_disk() -> None:
    made = EntryPolicy(Gate(Timing(), motor=True, kind="exit"), Rules("out"))
    made.handle(facts.Levels(LEVELS), 0.0)
    orders = made.handle(good(kind="exit"), 1.0)
    assert released(orders)
    (order,) = of(orders, Commit)
    assert made.handle(CommitFailed(order.token, "full"), 2.0) == []


def test_staff_passes_have_no_spent_key() -> None:
    made = policy()
    (order,) = of(made.handle(good(kind="staff"), 1.0), Commit)
    assert order.party == 0
    assert released(made.handle(Committed(order.token, 1), 1.0))
    assert made.used(VISIT) == 0
    (again,) = of(made.handle(good(kind="staff"), 40.0), Commit)
    assert again.token != order.token


def test_refusals_are_recorded_by_number_and_bounded() -> None:
    made = policy()
    refusal = Verdict("other", Refusal("not-a-pass"))
    orders = made.handle(refusal, 1.0)
    (note,) = notes(orders, Refused)
    assert note.fields == {"reason": REASONS["not-a-pass"].number, "code": "other", "visit": None}
    written = sum(len(notes(made.handle(refusal, 1.0), Refused)) for _ in range(200))
    assert written == REFUSALS_A_MINUTE - 1
    assert made.refusals_unwritten == 200 - written
    assert made.counters["refused"] == 201
    assert len(notes(made.handle(refusal, 3.1), Refused)) == 1


@pytest.mark.parametrize("answer", [Claimed(9, "won"), Committed(9, 1), CommitFailed(9, "x")])
def test_answers_to_nobody_change_nothing(answer: Any) -> None:
    made = policy()
    assert made.handle(answer, 1.0) == []
    assert made.at_rest()


def test_unsure_clock_is_alarmed() -> None:
    made = policy()
    orders = made.handle(good(unsure=True), 1.0)
    assert notes(orders, Alarm)[0].fields["kind"] == "clock-unsure"


# -- granted before the disk took it: the exit, and a disk fault ------------------------------------


def exit_policy() -> EntryPolicy:
    made = EntryPolicy(Gate(Timing(), motor=True, kind="exit"), Rules("out"))
    made.handle(facts.Levels(LEVELS), 0.0)
    return made


def test_exit_spends_the_pass_when_it_opens() -> None:
    made = exit_policy()
    (order,) = of(made.handle(good(kind="exit", party=3, left=2), 1.0), Commit)
    assert (order.party, order.granted) == (3, 2)
    assert made.used(VISIT) == 2


def test_exit_gives_the_use_back_when_nobody_leaves() -> None:
    made = exit_policy()
    made.handle(good(kind="exit"), 1.0)
    made.handle(InputChanged("leaf", False, 1.5), 1.5)
    given: list[GiveBack] = []
    while (due := made.deadline()) is not None and due < 60 and not given:
        given += of(made.handle(facts.Tick(), due), GiveBack)
    assert [one.uses for one in given] == [1]
    assert made.used(VISIT) == 0


def test_exit_of_staff_is_recorded_with_everybody_it_let_through() -> None:
    made = exit_policy()
    (order,) = of(made.handle(good(kind="staff", party=2), 1.0), Commit)
    assert (order.party, order.granted) == (0, 2)
    assert made.used(VISIT) == 0


def test_in_memory_grants_no_more_than_the_other_gates_left() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(party=3, left=1), 1.0)
    (late,) = of(made.handle(CommitFailed(order.token, "disk full"), 1.0), Commit)
    assert late.granted == 1
    assert made.used(VISIT) == 1


def test_in_memory_is_refused_and_not_written_when_the_gate_cannot_open() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(), 1.0)
    made.handle(InputChanged("fire", True, 1.01), 1.01)
    orders = made.handle(CommitFailed(order.token, "disk full"), 1.02)
    assert Say("refused", "fire") in orders
    assert not of(orders, Commit) + of(orders, GiveBack)
    assert made.used(VISIT) == 0


def test_in_memory_admission_that_the_journal_calls_used_up_is_written_all_the_same() -> None:
    """A journal that could not be read at the start knew of a use that this policy did not."""
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(), 1.0)
    made.handle(facts.Tick(), 1.15)
    assert released(made.handle(facts.Tick(), 1.5))
    (late,) = made.handle(Committed(order.token, 0), 3.0)
    assert isinstance(late, Commit)
    assert (late.granted, late.flags) == (1, Flags.IN_MEMORY)


def test_uses_granted_in_memory_are_not_granted_again_by_a_journal_that_lags_behind() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    order = commit(made, good(party=3), 1.0)
    made.handle(CommitFailed(order.token, "disk full"), 1.0)
    made.unspend(VISIT, "in", 1)
    again = commit(made, good(party=3), 5.0)
    orders = made.handle(Committed(again.token, 3), 5.0)
    assert [one.uses for one in of(orders, GiveBack)] == [2]
    assert made.used(VISIT) == 3


def test_a_hung_disk_lets_more_than_a_few_in_where_the_board_file_says_so() -> None:
    made = policy(on_disk_fault="admit-in-memory")
    for n in range(3 * AT_ONCE):
        at = 1.0 + 2 * n
        commit(made, good(b"visit-%02d" % n), at)
        made.handle(facts.Tick(), at + 0.15)
        made.handle(facts.Tick(), at + 0.5)
        made.handle(InputChanged("leaf", False, at + 0.6), at + 0.6)
    assert made.counters["admitted"] == 3 * AT_ONCE


def test_a_staff_pass_that_rotates_in_its_owners_hand_is_granted_once() -> None:
    made = policy()
    shown = Verdict("pass", Admissible(VISIT, 1, "staff"), VISIT, b"one")
    (order,) = of(made.handle(shown, 1.0), Commit)
    made.handle(Committed(order.token, 1), 1.0)
    assert made.handle(replace(shown, mark=b"two"), 9.0) == []
