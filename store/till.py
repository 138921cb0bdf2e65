"""The parts that offers and payments are made of, put together for ``python -m store run``.

Must never start with settings that are half right: a shop that cannot take money says so before it opens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from sqlalchemy import Engine

from store import rulesfile
from store.callpool import CallPool
from store.cashier import Cashier
from store.offers import Offers
from store.pay.settings import PayConfig, load, open_provider
from store.payments import Payments
from store.pricing.discounts import Rules

LOCAL, NONE = "local", "none"
THREADS = 8

log = logging.getLogger("store")


@dataclass(frozen=True, slots=True)
class Till:
    """``close`` ends the provider's connections."""

    cashier: Cashier
    close: Callable[[], None]


def open_till(
    engine: Engine, store_id: str, provider: str, discounts: Path | None, wake: Callable[[], object]
) -> Till | None:
    """``provider``: "local", "none" (then None is returned), or a file of settings. ``wake``: called from any
    thread when the cashier's turn should come. Raises PayConfigError, LedgerError (the rules)."""
    if provider == NONE:
        return None
    rules = rulesfile.load(discounts) if discounts is not None else Rules(UTC)
    path = Path(provider)
    config = PayConfig() if provider == LOCAL else load(path)
    opened = open_provider(config, path.parent, store_id)
    if config.provider == LOCAL:
        log.warning("payments go to a double: no money is moved. For a shop give --provider FILE.toml")
    # The double keeps its accounts in memory, for one call at a time.
    pool = CallPool(1 if config.provider == LOCAL else THREADS, "pay")
    cashier = Cashier(store_id, Offers(engine, rules), wake)
    cashier.payments = Payments(engine, opened.provider, pool.submit, ended=cashier.ended, wake=wake)
    return Till(cashier, opened.close)
