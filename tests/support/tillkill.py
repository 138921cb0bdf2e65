"""A payment of the store's till, killed at a step and taken up again by the next process."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event

from store.pay.double.bank import Bank
from tests.support.paykill import Stepped
from tests.support.payruns import Crash, Fuse
from tests.support.shoptill import Till, basket, check_sums, item


def killed(folder: Path, digits: str, at: int) -> bool:
    """Killed at the ``at``-th step of a payment, then started again: is the ledger what the bank holds?"""
    folder.mkdir()
    bank, fuse = Bank(start_ms=0), Fuse([at])
    first = Till(folder, bank=bank, wrap=lambda provider: Stepped(provider, fuse.step))
    offer = first.offer(basket([item(1), item(2)]))
    event.listen(first.engine, "commit", lambda _: fuse.step())  # before each commit
    killed = False
    try:
        first.pay(offer, digits)
        first.work()
        first.later(130)
    except Crash:
        killed = True
    first.engine.dispose()
    second = Till(folder, bank=bank)
    second.now = first.now
    second.later(200)
    stand = second.pay(offer, None)
    assert stand.state == ("paid" if bank.net_fen() else "declined"), (digits, at)
    assert check_sums(second.path) == bank.net_fen(), (digits, at)
    assert bank.calls.count(("charge", stand.order)) <= 1
    second.engine.dispose()
    return killed
