"""The price list as a CSV file, as a spreadsheet writes it: to entries, and back.

A file is taken whole or not at all: one price that was misread is charged a hundred times before anybody
looks. Must never round, guess a missing digit, or repair a number that a spreadsheet has spoilt.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from firmware.wire.gtin import to_gtin14
from firmware.wire.pricelist import MAX_FEN, Key, PriceEntry, PriceListError, check
from store.ledger import LedgerError

COLUMNS = ("gtin", "name", "price", "unit", "unit_price", "brand", "zone", "epc")
NEEDED = ("name", "price")
MAX_BYTES = 16 * 1024 * 1024
MOST_ERRORS = 10
_YUAN = re.compile(r"(\d{1,8})(?:\.(\d{1,2}))?")
_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){1,62}")

T = TypeVar("T")


class PriceFileError(LedgerError):
    """The file cannot be used: which lines and columns are wrong, and how. Nothing was changed."""


def read(data: bytes, name: str) -> list[PriceEntry]:
    """The entries of a CSV file (UTF-8, with or without a byte order mark; columns in any order), in its
    order. ``name``: the file as people know it. Raises PriceFileError with up to ten faults."""
    rows = _Rows(_text(data, name), name)
    found: dict[Key, int] = {}
    entries = []
    for line, fields in rows:
        entry = _Row(fields, rows.errors, line).entry()
        if entry is None:
            continue
        if entry.key in found:
            column = "gtin" if isinstance(entry.key, int) else "epc"
            rows.errors.append(f"line {line}, column {column}: the same goods as on line {found[entry.key]}")
            continue
        found[entry.key] = line
        entries.append(entry)
        if len(rows.errors) > MOST_ERRORS:
            break
    rows.done()
    if not entries:
        raise PriceFileError(f"{name} has no goods in it; nothing was changed")
    return entries


def write(entries: Iterable[PriceEntry]) -> bytes:
    """A file that ``read`` takes to the same entries. With a byte order mark: a spreadsheet would take
    Chinese names for another encoding without it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        unit_price = "" if entry.unit_fen is None else yuan(entry.unit_fen)
        epc = entry.key.hex().upper() if isinstance(entry.key, bytes) else ""
        price = yuan(entry.price_fen)
        row = (entry.gtin14 or "", entry.name, price, entry.unit, unit_price, entry.brand, entry.zone, epc)
        writer.writerow(row)
    return out.getvalue().encode("utf-8-sig")


def yuan(fen: int) -> str:
    """1280 → "12.80"."""
    return f"{fen // 100}.{fen % 100:02d}"


def fen_of(text: str) -> int:
    """Yuan with at most two decimals as fen. Raises ValueError with what is wrong."""
    found = _YUAN.fullmatch(text) if text.isascii() else None
    if found is not None:
        fen = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
        if fen > MAX_FEN:
            raise ValueError(f"{text} is over {yuan(MAX_FEN)}")
        return fen
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError(
            f"{text} was shortened by a spreadsheet; format the column as text and type it again"
        )
    if text.startswith("-"):
        raise ValueError(f"{text[:20]} is negative")
    if re.fullmatch(r"\d+\.\d{3,}", text, re.ASCII):
        raise ValueError(f"{text[:20]} has more than two decimals: part of a fen would be lost")
    raise ValueError(f"{text[:20]!r} is no price; write yuan like 12.80, digits and one point only")


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        raise PriceFileError(
            f"{name} has {len(data)} bytes, at most {MAX_BYTES} are read; is it the price list?"
        )
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise PriceFileError(f"{name} is UTF-16; save it as CSV UTF-8")
    if data[:4] == b"PK\x03\x04":
        raise PriceFileError(f"{name} is a spreadsheet, no CSV; save it as CSV UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PriceFileError(f"{name} line {line}: not UTF-8; save the file as CSV UTF-8") from None


class _Rows:
    """(line, column → text) of every row that is not blank. ``done`` raises what was found wrong."""

    def __init__(self, text: str, name: str) -> None:
        self.errors: list[str] = []
        self._name = name
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        self._columns = self._header()

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        while (row := self._next()) is not None:
            line = self._reader.line_num
            fields = [unicodedata.normalize("NFC", field.strip()) for field in row]
            if not any(fields):
                continue  # spreadsheets leave empty rows at the end
            if len(row) != len(self._columns):
                count = f"{len(row)} columns, the first line has {len(self._columns)}"
                self.errors.append(f"line {line}: {count}; is there a comma in a name without quotes?")
                continue
            yield line, dict(zip(self._columns, fields, strict=True))

    def done(self) -> None:
        if self.errors:
            shown = "\n  ".join(self.errors[:MOST_ERRORS])
            more = "\n  and more" if len(self.errors) > MOST_ERRORS else ""
            raise PriceFileError(f"{self._name} is not used, nothing was changed:\n  {shown}{more}")

    def _header(self) -> list[str]:
        columns = [field.strip().lower() for field in self._next() or []]
        if not any(columns):
            self.errors.append("line 1: empty; it names the columns, " + ",".join(COLUMNS))
            self.done()
        for column in columns:
            if column not in COLUMNS:
                near = difflib.get_close_matches(column, COLUMNS, 1)
                hint = f"; is it {near[0]}?" if near else f"; known are {', '.join(COLUMNS)}"
                self.errors.append(f"line 1: column {column[:20]!r} is not known{hint}")
            elif columns.count(column) > 1:
                self.errors.append(f"line 1: column {column} is there twice")
        missing = [column for column in NEEDED if column not in columns]
        if "gtin" not in columns and "epc" not in columns:
            missing.append("gtin")
        self.errors += [f"line 1: column {column} is missing" for column in missing]
        self.done()
        return columns

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            self.errors.append(f"line {self._reader.line_num}: {error}; check the quotes in it")
            self.done()
            raise AssertionError from error


class _Row:
    """One row to one entry; what is wrong goes to ``errors`` with its line and column."""

    def __init__(self, fields: dict[str, str], errors: list[str], line: int) -> None:
        self._fields, self._errors, self._line = fields, errors, line

    def entry(self) -> PriceEntry | None:
        before = len(self._errors)
        key = self._key()
        price = self._take("price", fen_of, needed=True)
        unit_fen = self._take("unit_price", fen_of)
        given = (self._fields.get(column, "") for column in ("name", "unit", "brand", "zone"))
        name, unit, brand, zone = given
        if bool(unit) != bool(self._fields.get("unit_price")):
            self._wrong(
                "unit_price" if unit else "unit", "unit and unit_price go together: give both or none"
            )
        if len(self._errors) > before or key is None or price is None:
            return None
        entry = PriceEntry(key, name, price, unit, unit_fen, brand, zone)
        try:
            check(entry)
        except PriceListError as error:
            column, _, _ = str(error).partition(" ")
            self._wrong(column if column in COLUMNS else "gtin", str(error))
            return None
        return entry

    def _key(self) -> Key | None:
        if bool(self._fields.get("gtin")) == bool(self._fields.get("epc")):
            column = "gtin" if "gtin" in self._fields else "epc"
            self._wrong(column, "each row has a gtin, or an epc for goods without one, and not both")
            return None
        if self._fields.get("gtin"):
            return self._take("gtin", _gtin)
        return self._take("epc", _epc)

    def _take(self, column: str, convert: Callable[[str], T], *, needed: bool = False) -> T | None:
        text = self._fields.get(column, "")
        if not text:
            if needed:
                self._wrong(column, "empty")
            return None
        try:
            return convert(text)
        except ValueError as error:
            self._wrong(column, str(error))
            return None

    def _wrong(self, column: str, what: str) -> None:
        self._errors.append(f"line {self._line}, column {column}: {what}")


def _gtin(text: str) -> int:
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError(
            f"{text} was shortened by a spreadsheet; format the column as text and type it again"
        )
    return int(to_gtin14(text))


def _epc(text: str) -> bytes:
    if not _HEX.fullmatch(text):
        raise ValueError(f"{text[:20]!r} is no EPC: an even number of hex digits, at most 124")
    return bytes.fromhex(text)
