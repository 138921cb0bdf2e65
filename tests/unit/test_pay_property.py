"""Whatever the answers, the crashes and the order of time: the end is what the double says was paid."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.pay.attempts import NotNow
from store.pay.double.faults import FAULTS, RULES, Fault
from tests.support.payruns import PayRun, code

digits = st.sampled_from(["00", *sorted(RULES)])
faults = st.builds(
    Fault,
    kind=st.sampled_from(sorted(FAULTS)),
    on=st.sampled_from(["any", "charge", "query", "reverse", "refund"]),
    times=st.integers(1, 4),
    delay_s=st.sampled_from([0.5, 4.0, 14.0]),
)


def check(run: PayRun) -> None:
    """What must hold of every ended run, once all that was on its way has arrived."""
    run.bank.settle(run.now)
    for saved in run.attempts.rows.values():
        assert saved.end in ("paid", "unpaid"), saved
        held = run.bank.net_fen(saved.order)
        assert held == (saved.total_fen if saved.end == "paid" else 0), (saved, run.bank.entries)
        charged = [call for call in run.provider.asked if call[:2] == ("charge", saved.order)]
        assert len(charged) <= 1
        assert run.bank.charges(saved.order) <= 1
        pay_call = [
            at for name, order, at, _ in run.provider.asked if (name, order) == ("charge", saved.order)
        ]
        reverses = [
            at for name, order, at, _ in run.provider.asked if (name, order) == ("reverse", saved.order)
        ]
        assert all(at >= asked + 15 for at in reverses for asked in pay_call)
    assert sum(saved.end == "paid" for saved in run.attempts.rows.values()) <= 1


@settings(max_examples=200)
@given(
    codes=st.lists(digits, min_size=1, max_size=4),
    misbehaviour=st.lists(faults, max_size=5),
    crashes=st.lists(st.integers(1, 40), max_size=4).map(sorted),
    disk_fails=st.integers(0, 3),
    cancel_at=st.none() | st.floats(0, 60),
    callbacks=st.booleans(),
)
def test_the_end_equals_what_was_paid(
    codes: list[str],
    misbehaviour: list[Fault],
    crashes: list[int],
    disk_fails: int,
    cancel_at: float | None,
    callbacks: bool,
) -> None:
    run = PayRun(crashes)
    run.attempts.fail = disk_fails
    for fault in misbehaviour:
        run.faults.add(fault)
    paid: list[object] = []

    def poke() -> None:
        if cancel_at is not None and run.now >= cancel_at:
            run.guarded(lambda: run.desk.cancel(run.last.order, run.now))
        if callbacks and paid:
            order = run.bank.orders[run.last.order].order if run.last.order in run.bank.orders else None
            if order is not None:
                run.guarded(lambda: run.desk.tell(order, run.now))

    run.bank.on_paid = paid.append
    for number, ending in enumerate(codes):
        try:
            run.pay(code(ending, number))
        except NotNow:
            break
        run.until(run.now + 900, poke)
    check(run)


def test_killed_at_every_step_of_every_course() -> None:
    """One kill at each step of each rule; then two kills, the second soon after the first."""
    courses = 0
    for ending in ["00", *sorted(RULES)]:
        whole = PayRun()
        whole.pay(code(ending))
        whole.until(400)
        for at in range(1, whole.fuse.steps + 1):
            for second in (None, at + 1, at + 2, at + 3):
                run = PayRun([at] if second is None else [at, second])
                run.pay(code(ending))
                run.until(900)
                assert run.crashes >= 1
                check(run)
                courses += 1
    assert courses > 400


@pytest.mark.parametrize("ending", ["00", *sorted(RULES)])
def test_every_fault_of_every_call_in_every_course(ending: str) -> None:
    for kind, on, times in product(FAULTS, ("charge", "query", "reverse"), (1, 3)):
        for delay_s in (4.0, 14.0, 57.0):
            if delay_s > 4.0 and (kind != "delayed" or (delay_s > 15 and on != "charge")):
                continue  # what is on its way longer than the waits allow for
            run = PayRun()
            run.faults.add(Fault(kind, on, times, delay_s))
            run.pay(code(ending))
            run.until(900)
            check(run)


def test_the_check_would_see_a_double_charge() -> None:
    """The same run with a desk that forgets: the check must fail."""
    run = PayRun()
    run.pay(code("13"))
    run.attempts.rows.clear()
    run.until(1)
    run.pay(code("00", 1), basket="00a1b2c3d4e5f607-13")
    run.until(900)
    assert run.bank.net_fen() > sum(
        saved.total_fen for saved in run.attempts.rows.values() if saved.end == "paid"
    )
