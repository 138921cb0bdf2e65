"""The broker: is it reached, and does it keep this board to its own topics?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from firmware.selftest.bench import Bench, Result
from firmware.sync.link import Link, LinkSettings
from firmware.wire.topics import Topics

BROKER_S = 10.0


class _NoJournal:
    """The link is tested without a record."""

    def fetch(self, after: Any, limit: int, done: Callable[[Sequence[Any]], None]) -> None:
        done([])

    def ack(self, epoch: int, through: int, done: Callable[[bool | None], None]) -> None:
        done(False)

    def nacked(self, epoch: int, seq: int, done: Callable[[bool], None]) -> None:
        done(True)

    def resend_from(self, seq: int, done: Callable[[bool], None]) -> None:
        done(True)


def broker(bench: Bench) -> Result:
    site, where_to = bench.site, bench.site.broker
    where = f"{where_to.host}:{where_to.port}"
    ca, cert, key = (Path(name) if name else None for name in (where_to.ca, where_to.cert, where_to.key))
    settings = LinkSettings(
        site.store, site.board, where_to.host, where_to.port, b"", ca=ca, cert=cert, key=key
    )
    lost: list[str] = []

    def post(event: Any) -> None:
        if hasattr(event, "reason"):
            lost.append(event.reason)

    def alone() -> bool:
        """The address of a board that has no shop yet, and nobody there."""
        return where_to.ca is None and any("refused" in reason for reason in lost)

    link = Link(bench.guard, settings, _NoJournal(), post)
    bench.loop.call_soon(link.start)
    try:
        bench.until(lambda: link.up or alone(), BROKER_S)
        if alone() and not link.up:
            check = "no broker on this machine: the board works alone, records wait for one"
            return Result(None, f"{where}: no broker", check)
        if not link.up:
            reason = lost[-1] if lost else f"no answer for {BROKER_S:g} s"
            check = "network, address in the site file, certificate"
            return Result(False, reason if where in reason else f"{where}: {reason}", check)
        other = Topics(site.store, f"not-{site.board}"[:32]).live
        link.publish(link.topics.live, b'{"event":"selftest"}', 1)
        link.publish(other, b"{}", 1)
        refused = bench.until(lambda: link.health().get("link_refused_other", 0) == 1, 3.0)
        if not refused:
            return Result(False, f"{where}: another board's topic may be written", "the broker's access list")
        return Result(True, f"{where}: connected, own topics allowed, another board's refused")
    finally:
        link.close()
