"""Claims over the link: the other gates are asked before a pass is granted. Loop thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware.gate.orders import Claim, Claimed
from firmware.sync.link import Arrived

if TYPE_CHECKING:
    from firmware.uplink import Uplink


class GateClaims:
    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink

    def claim(self, order: Claim, answer: Callable[[Claimed], None]) -> None:
        answer(Claimed(order.token, "offline"))

    def used(self, visit: bytes, direction: str) -> int:
        return 0

    def publish(self, spent: dict[tuple[bytes, str], int]) -> None:
        pass

    def connected(self) -> None: ...
    def disconnected(self) -> None: ...
    def arrived(self, event: Arrived) -> None: ...
