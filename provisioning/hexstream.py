"""Hexadecimal text as people and analysers write it, to bytes, piece by piece. Pure.

White space, commas and colons mean nothing, ``0x`` before a byte neither; anything else is an error with its
line and column. Must never guess what a character might have meant.
"""

from __future__ import annotations

DIGITS = {digit: int(digit, 16) for digit in "0123456789abcdefABCDEF"}
SEPARATORS = ",:"


class HexError(ValueError):
    """``line`` and ``column`` count from 1."""

    def __init__(self, line: int, column: int, what: str) -> None:
        super().__init__(f"line {line}, column {column}: {what}")
        self.line = line
        self.column = column


class HexStream:
    """``feed`` text as it comes; the two digits of a byte may be apart, even in two pieces."""

    def __init__(self) -> None:
        self._line, self._column = 1, 0
        self._high: int | None = None
        self._high_at = (1, 0)
        self._prefixed = False
        self._digits = 0  # since the 0x

    def feed(self, text: str) -> tuple[bytes, HexError | None]:
        """The bytes that are whole now, and what is wrong behind them (feed nothing more after that)."""
        out = bytearray()
        for char in text:
            if char == "\n":
                self._line, self._column = self._line + 1, 0
            else:
                self._column += 1
            value = DIGITS.get(char)
            if value is not None:
                self._digits += 1
                if self._high is None:
                    self._high, self._high_at = value, (self._line, self._column)
                else:
                    out.append(self._high << 4 | value)
                    self._high = None
            elif char in "xX" and self._high == 0 and self._high_at == (self._line, self._column - 1):
                self._high, self._prefixed, self._digits = None, True, 0
            elif char.isspace() or char in SEPARATORS:
                error = self._separated(out)
                if error is not None:
                    return bytes(out), error
            else:
                what = f"{char!r} is no hexadecimal digit; give the bytes alone, as in BB 00 22 00 00 22 7E"
                return bytes(out), HexError(self._line, self._column, what)
        return bytes(out), None

    def end(self) -> tuple[bytes, HexError | None]:
        """No more text comes: a last byte written as 0x7, and what is wrong."""
        out = bytearray()
        error = self._separated(out)
        if error is None and self._high is not None:
            error = HexError(*self._high_at, "the last byte has one digit only; is the rest missing?")
        return bytes(out), error

    def _separated(self, out: bytearray) -> HexError | None:
        """After 0x the digits up to here are numbers of their own: 0x7 is the byte 07."""
        if self._prefixed and self._high is not None:
            if self._digits != 1:
                return HexError(*self._high_at, "an odd number of digits after 0x; is one missing?")
            out.append(self._high)
            self._high = None
        if self._prefixed and self._digits == 0:
            return HexError(self._line, self._column, "no digit after 0x")
        self._prefixed = False
        return None
