"""Bits of an EPC of the + schemes, read one field after the other, and written. Pure.

Methods by GS1 TDS 2.3, 14.5.3 (date), 14.5.4 (digits in nibbles) and 14.5.6 (alphanumeric, six encodings).
"""

from __future__ import annotations

from firmware.wire.epc_value import CHARACTERS, WORD_BITS, EpcError
from firmware.wire.gtin import is_digits

_HEX_UPPER, _HEX_LOWER = "0123456789ABCDEF", "0123456789abcdef"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_CODE40 = "\0ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:0123456789"
_ALPHABETS = {1: (4, _HEX_UPPER), 2: (4, _HEX_LOWER), 3: (6, _BASE64)}
_LENGTH_BITS = 5
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Reader:
    """From the highest bit on. Raises EpcError when the EPC ends too early."""

    def __init__(self, value: int, bits: int) -> None:
        self._value, self.left = value, bits

    def take(self, width: int) -> int:
        if width > self.left:
            raise EpcError(f"the EPC ends in the middle of a field: {width} bits wanted, {self.left} left")
        self.left -= width
        return self._value >> self.left & ((1 << width) - 1)

    def digits(self, count: int, what: str) -> str:
        """``count`` digits of 4 bits each."""
        text = format(self.take(4 * count), f"0{count}X")
        if not text.isdigit():
            raise EpcError(f"{what} {text} has a nibble that is no digit")
        return text

    def date(self) -> tuple[str, str]:
        """16 bits as YYMMDD and as ISO date; day 0 stands for the month's last day. The century is ours."""
        year, month, day = self.take(7), self.take(4), self.take(5)
        if year > 99 or day > (last := _last_day(year, month)):
            raise EpcError(f"{year:02d}-{month:02d}-{day:02d} is no date (YY-MM-DD)")
        return f"{year:02d}{month:02d}{day:02d}", f"{2000 + year}-{month:02d}-{day or last:02d}"

    def text(self, most: int, what: str) -> str:
        """A variable-length alphanumeric value of 1 to ``most`` characters."""
        how, length = self.take(3), self.take(_LENGTH_BITS)
        if not 1 <= length <= most:
            raise EpcError(f"{what} of {length} characters, 1 to {most} are allowed")
        if how == 0:
            number = self.take(_integer_bits(length))
            if number >= 10**length:
                raise EpcError(f"{what} {number} is out of range for {length} digits")
            return str(number).zfill(length)
        if how in _ALPHABETS:
            width, alphabet = _ALPHABETS[how]
            field = self.take(width * length)
            return "".join(
                alphabet[field >> at & ((1 << width) - 1)] for at in range(width * (length - 1), -1, -width)
            )
        if how == 4:
            field = self.take(7 * length)
            text = "".join(chr(field >> at & 0x7F) for at in range(7 * (length - 1), -1, -7))
            if not CHARACTERS.issuperset(text):
                raise EpcError(f"{what} has a character outside the GS1 set")
            return text
        if how == 5:
            return self._code40(length, what)
        raise EpcError(f"{what}: encoding {how} is reserved")

    def _code40(self, length: int, what: str) -> str:
        text = ""
        for _ in range(-(-length // 3)):
            number = self.take(16) - 1
            if not 0 <= number < 40**3:
                raise EpcError(f"{what}: {number + 1} is no URN Code 40 group")
            text += _CODE40[number // 1600] + _CODE40[number // 40 % 40] + _CODE40[number % 40]
        if "\0" in text[:length] or text[length:].strip("\0"):
            raise EpcError(f"{what}: URN Code 40 padding is not where its {length} characters end")
        return text[:length]


class Writer:
    """Fields behind each other; ``whole`` fills the last 16-bit word with zeros."""

    def __init__(self) -> None:
        self._value, self._bits = 0, 0

    def put(self, value: int, width: int) -> None:
        self._value, self._bits = self._value << width | value, self._bits + width

    def digits(self, text: str) -> None:
        self.put(int(text, 16), 4 * len(text))

    def date(self, yymmdd: str) -> None:
        """Raises EpcError for a day that does not exist."""
        year, month, day = int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:])
        if day > _last_day(year, month):
            raise EpcError(f"{yymmdd} is no date (YYMMDD)")
        self.put(year << 9 | month << 5 | day, 16)

    def text(self, value: str) -> None:
        """The encoding that takes the fewest bits; the value's characters are the caller's care."""
        width, how, field = min(_ways(value))
        self.put(how, 3)
        self.put(len(value), _LENGTH_BITS)
        self.put(field, width)

    def whole(self) -> bytes:
        pad = -self._bits % WORD_BITS
        return (self._value << pad).to_bytes((self._bits + pad) // 8, "big")


def _last_day(year: int, month: int) -> int:
    """-1 for a month that does not exist. From 2000 to 2099 every fourth year is a leap year."""
    if not 1 <= month <= 12:
        return -1
    return 29 if month == 2 and year % 4 == 0 else _MONTH_DAYS[month - 1]


def _integer_bits(length: int) -> int:
    bits: int = (10**length - 1).bit_length()
    return bits


def _ways(value: str) -> list[tuple[int, int, int]]:
    """(bits, encoding, field) of each encoding that has all the characters."""
    ways = [(7 * len(value), 4, _packed(value, 7, None))]
    if is_digits(value):
        ways.append((_integer_bits(len(value)), 0, int(value)))
    for how, (width, alphabet) in _ALPHABETS.items():
        if set(value) <= set(alphabet):
            ways.append((width * len(value), how, _packed(value, width, alphabet)))
    if set(value) <= set(_CODE40):
        filled = value + "\0" * (-len(value) % 3)
        field = 0
        for at in range(0, len(filled), 3):
            first, second, third = (_CODE40.index(c) for c in filled[at : at + 3])
            field = field << 16 | (1600 * first + 40 * second + third + 1)
        ways.append((16 * len(filled) // 3, 5, field))
    return ways


def _packed(value: str, width: int, alphabet: str | None) -> int:
    field = 0
    for c in value:
        field = field << width | (ord(c) if alphabet is None else alphabet.index(c))
    return field
