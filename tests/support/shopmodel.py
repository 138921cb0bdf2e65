"""A shop's tags as a model: 300 items of five makers, popularity by Zipf, serials in batches of 1,000."""

from __future__ import annotations

import random


class ShopModel:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        makers = [self._rng.randrange(10**7) for _ in range(5)]
        self._items = [(makers[i % 5], self._rng.randrange(10**5)) for i in range(300)]
        self._batches = [self._rng.randrange((1 << 38) - 1000) for _ in self._items]
        self._weights = [1 / (i + 1) for i in range(300)]

    def tag(self) -> bytes:
        """One SGTIN-96: filter 1, partition 5 (7-digit company prefix)."""
        at = self._rng.choices(range(300), self._weights)[0]
        maker, item = self._items[at]
        head = 0x30 << 6 | 1 << 3 | 5
        serial = self._batches[at] + self._rng.randrange(1000)
        return ((head << 44 | maker << 20 | item) << 38 | serial).to_bytes(12, "big")

    def basket(self, count: int) -> set[bytes]:
        tags: set[bytes] = set()
        while len(tags) < count:
            tags.add(self.tag())
        return tags
