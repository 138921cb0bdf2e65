"""GS1 check digits: of GTIN, SSCC, GLN and GRAI alike. Pure.

Must never repair a number: a wrong check digit is a wrong number.
"""

from __future__ import annotations

GTIN_DIGITS = (8, 12, 13, 14)


def check_digit(digits: str) -> str:
    """The digit that goes behind ``digits`` (ASCII digits only), by GS1 General Specifications 7.9: weights
    3, 1, 3 ... from the right, summed up to the next ten."""
    data = digits.encode()
    odd, even = data[-1::-2], data[-2::-2]
    # "0" is 48 in ASCII: what all those 48s add is taken off again.
    total = 3 * sum(odd) + sum(even) - 48 * (3 * len(odd) + len(even))
    return str(-total % 10)


def is_digits(text: str) -> bool:
    """ASCII digits only, at least one."""
    return text.isascii() and text.isdigit()


def is_valid(number: str) -> bool:
    """Digits whose last one is the check digit of the others."""
    return len(number) > 1 and is_digits(number) and check_digit(number[:-1]) == number[-1]


def to_gtin14(number: str) -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits. Raises ValueError, saying what is wrong."""
    if not is_digits(number) or len(number) not in GTIN_DIGITS:
        raise ValueError(f"a GTIN has 8, 12, 13 or 14 digits, not {number[:20]!r}")
    if not is_valid(number):
        raise ValueError(f"GTIN {number} should end in check digit {check_digit(number[:-1])}")
    return number.zfill(14)
