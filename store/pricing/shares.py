"""Rounding, and dividing a sum of fen among items so that nothing is lost. Pure, integers only.

The one rounding of the whole shop is stated here: **a share of an amount is rounded to the nearest fen, half
a fen up.** What is rounded is always the discount, so the half fen is the shopper's.
"""

from __future__ import annotations

from collections.abc import Sequence


def percent_of(fen: int, percent: int) -> int:
    """``percent`` (0..100) of ``fen`` (0 or more), to the nearest fen, half up: 5 % of 0.10 is 0.01."""
    return (2 * fen * percent + 100) // 200


def share(fen: int, weights: Sequence[int]) -> list[int]:
    """``fen`` divided in proportion to ``weights``, to the fen: the shares sum up to it exactly, and none is
    more than its weight.

    Largest remainders (Hamilton's method): every share is its quota without the part of a fen, the fen that
    are left go one each to the largest parts, the first in order where they are equal. Raises ValueError
    unless 0 <= fen <= sum of weights, weights 0 or more.
    """
    whole = sum(weights)
    if min(weights, default=0) < 0 or not 0 <= fen <= whole:
        raise ValueError(f"{fen} fen cannot be shared over weights {list(weights)!r}")
    if fen == 0:
        return [0] * len(weights)
    shares = [fen * weight // whole for weight in weights]
    left = fen - sum(shares)
    by_part = sorted(range(len(weights)), key=lambda at: (-(fen * weights[at] % whole), at))
    for at in by_part[:left]:
        shares[at] += 1
    return shares
