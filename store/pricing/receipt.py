"""The receipt: made of the stored items and cuts only, so that every sum can be computed again. Pure.

Must never show a sum that its lines do not add up to, nor look anything up: names, prices and words are those
of the day of the sale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from store.pricing.engine import Cut
from store.pricing.lines import Item
from store.pricing.words import yuan

Language = Literal["en", "zh"]


class ReceiptError(ValueError):
    """The stored rows are not those of a basket; the message says which contradicts what."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """What one rule took off, from a line or from the whole basket."""

    step: int
    rule: str
    kind: str
    en: str
    zh: str
    fen: int


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """All items of one goods. ``reductions``: in the order in which they were applied."""

    goods: str
    name: str
    count: int
    each_fen: int
    reductions: tuple[Reduction, ...]

    @property
    def list_fen(self) -> int:
        return self.count * self.each_fen

    @property
    def total_fen(self) -> int:
        return self.list_fen - sum(reduction.fen for reduction in self.reductions)

    def explain(self, language: Language = "en") -> str:
        """The line in one sentence."""
        zh = language == "zh"
        parts = [f"{self.count} × {yuan(self.each_fen)} = {yuan(self.list_fen)}"]
        parts += [f"{one.zh if zh else one.en} {yuan(-one.fen)}" for one in self.reductions]
        if not self.reductions:
            parts.append("无优惠" if zh else "no discount")
        parts.append(f"实付 {yuan(self.total_fen)}" if zh else f"to pay {yuan(self.total_fen)}")
        return f"{self.name}：{'；'.join(parts)}" if zh else f"{self.name}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """``lines``: by goods. ``reductions``: by rule, in the order in which they were applied."""

    lines: tuple[ReceiptLine, ...]
    reductions: tuple[Reduction, ...]

    @property
    def count(self) -> int:
        return sum(line.count for line in self.lines)

    @property
    def list_fen(self) -> int:
        return sum(line.list_fen for line in self.lines)

    @property
    def discount_fen(self) -> int:
        return sum(reduction.fen for reduction in self.reductions)

    @property
    def total_fen(self) -> int:
        return sum(line.total_fen for line in self.lines)


def receipt(items: Sequence[Item], cuts: Iterable[Cut]) -> Receipt:
    """``items``: by position; ``cuts``: in any order. Raises ReceiptError."""
    by_item = paid_cuts(items, cuts)
    groups: dict[tuple[str, str, int], list[int]] = {}
    for position, item in enumerate(items):
        groups.setdefault((item.goods, item.name, item.list_fen), []).append(position)
    lines = tuple(
        ReceiptLine(
            goods, name, len(positions), each, _summed(cut for at in positions for cut in by_item[at])
        )
        for (goods, name, each), positions in sorted(groups.items())
    )
    return Receipt(lines, _summed(cut for of in by_item for cut in of))


def paid_cuts(items: Sequence[Item], cuts: Iterable[Cut]) -> list[list[Cut]]:
    """The cuts of each item. Raises ReceiptError where they are not those of ``items``."""
    found: list[list[Cut]] = [[] for _ in items]
    for cut in cuts:
        if not 0 <= cut.position < len(found):
            raise ReceiptError(f"a discount of {cut.rule} is on item {cut.position}, of {len(found)} items")
        if cut.fen <= 0:
            raise ReceiptError(f"the discount of {cut.rule} on item {cut.position} is {cut.fen} fen")
        found[cut.position].append(cut)
    for position, (item, of) in enumerate(zip(items, found, strict=True)):
        if sum(cut.fen for cut in of) > item.list_fen:
            raise ReceiptError(f"the discounts on item {position} are more than its {item.list_fen} fen")
    return found


def text(made: Receipt, language: Language = "en", width: int = 48) -> str:
    """The receipt for a narrow printer or screen: sums at the right, one row for each discount."""
    zh = language == "zh"
    rows = []
    for line in made.lines:
        rows.append(line.name)
        rows.append(_row(f"  {line.count} × {yuan(line.each_fen)}", line.list_fen, width))
        rows += [_row(f"    {one.zh if zh else one.en}", -one.fen, width) for one in line.reductions]
        if line.reductions:
            rows.append(_row("  实付" if zh else "  to pay", line.total_fen, width))
    rows.append("-" * width)
    rows.append(_row(f"合计 {made.count} 件" if zh else f"{made.count} items", made.list_fen, width))
    rows += [_row(one.zh if zh else one.en, -one.fen, width) for one in made.reductions]
    rows.append(_row("应付" if zh else "Total", made.total_fen, width))
    return "\n".join(rows)


def _summed(cuts: Iterable[Cut]) -> tuple[Reduction, ...]:
    found: dict[tuple[int, str], Reduction] = {}
    for cut in cuts:
        key = cut.step, cut.rule
        before = found.get(key)
        if before is None:
            found[key] = Reduction(cut.step, cut.rule, cut.kind, cut.en, cut.zh, cut.fen)
        else:
            found[key] = replace(before, fen=before.fen + cut.fen)
    return tuple(found[key] for key in sorted(found))


def _row(words: str, fen: int, width: int) -> str:
    """``words`` at the left, the sum at the right; Chinese signs are two columns wide."""
    sum_ = yuan(fen)
    room = width - len(sum_) - 1
    if _columns(words) <= room:
        return words + " " * (room - _columns(words) + 1) + sum_
    return f"{words}\n{sum_:>{width}}"


def _columns(words: str) -> int:
    return sum(2 if ord(sign) >= 0x2E80 else 1 for sign in words)
