"""The price list: from a spreadsheet's file into the ledger, and from there to the boards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from firmware.pricebook import PriceBook
from firmware.wire.epc import encode_sgtin96
from firmware.wire.gtin import check_digit
from firmware.wire.pricelist import MAX_FEN, PriceEntry, bucket_of
from store import pricefile, prices, tables
from store.__main__ import main
from store.ledger import LedgerError, migrate, open_ledger
from store.pricefile import MOST_ERRORS, PriceFileError, fen_of
from tests.support.shopfeed import sqlite_url

DEMO = Path(__file__).parents[2] / "store" / "demo_prices.csv"
HEAD = "gtin,name,price,unit,unit_price,brand,zone,epc\n"
MILK = "9521234000013,Oat drink 1 l,12.80,1 l,12.80,north-mill,chiller,\n"
NUTS = "9521234000020,Roasted nuts 250 g,19.9,100 g,7.96,north-mill,,\n"
BAG = ",Bag,0.5,,,,,e28011606000020612345678\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = sqlite_url(tmp_path / "ledger.sqlite")
    migrate(open_ledger(found))
    return found


@pytest.fixture
def engine(url: str) -> Engine:
    return open_ledger(url)


def read(text: str | bytes) -> list[PriceEntry]:
    return pricefile.read(text.encode() if isinstance(text, str) else text, "goods.csv")


# -- the file ----------------------------------------------------------------------------------------


def test_a_file_as_it_is_meant() -> None:
    milk, nuts, bag = read(HEAD + MILK + NUTS + BAG)
    assert milk == PriceEntry(9521234000013, "Oat drink 1 l", 1280, "1 l", 1280, "north-mill", "chiller")
    assert (nuts.price_fen, nuts.unit_fen, nuts.zone) == (1990, 796, "")
    assert bag == PriceEntry(bytes.fromhex("e28011606000020612345678"), "Bag", 50)


def test_a_file_as_spreadsheets_write_it() -> None:
    text = '\ufeffPrice, Name ,GTIN\r\n12.80,"Oat drink, barista",09521234000013\r\n,,\r\n\r\n'
    assert read(text) == [PriceEntry(9521234000013, "Oat drink, barista", 1280)]
    assert read("gtin,name,price\n9521234000013,Cafe\u0301 creme,1\n")[0].name == "Caf\u00e9 creme"
    assert read("gtin,name,price\n036000291452,A,1\n96385074,B,1\n")[0].gtin14 == "00036000291452"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "line 1: empty"),
        (HEAD, "has no goods"),
        ("gtin,name\n", "line 1: column price is missing"),
        ("name,price\n", "column gtin is missing"),
        (HEAD.replace("brand", "brnad"), "column 'brnad' is not known; is it brand"),
        ("gtin,name,price,name\n", "column name is there twice"),
        (HEAD + MILK + MILK, "line 3, column gtin: the same goods as on line 2"),
        (HEAD + MILK + MILK.replace("952", "0952"), "line 3, column gtin: the same goods"),
        (HEAD + BAG + BAG.lower(), "line 3, column epc: the same goods"),
        (HEAD + MILK.replace("0013", "0014"), "line 2, column gtin: .*check digit 3"),
        (HEAD + MILK.replace("9521234000013", "9.52123E+12"), "column gtin: .*shortened by a spreadsheet"),
        (HEAD + MILK.replace("9521234000013", "952"), "column gtin: .*8, 12, 13 or 14 digits"),
        (HEAD + MILK.replace("9521234000013", "00000000"), "column gtin"),
        (HEAD + MILK.replace("9521234000013", ""), "column gtin: each row has a gtin, or an epc"),
        (HEAD + MILK.replace("chiller,", "chiller,E280"), "and not both"),
        (HEAD + BAG.replace("e28", "x28"), "column epc: .*no EPC"),
        (HEAD + BAG.replace("e28", "28"), "column epc: .*no EPC"),
        (HEAD + MILK.replace("12.80,1", "-12.80,1"), "line 2, column price: -12.80 is negative"),
        (HEAD + MILK.replace("12.80,1", "12.805,1"), "more than two decimals"),
        (HEAD + MILK.replace("12.80,1", ",1"), "column price: empty"),
        (HEAD + MILK.replace("12.80,1", "¥12.80,1"), "column price: .*write yuan like 12.80"),
        (HEAD + MILK.replace("12.80,1", "1.2E+1,1"), "column price: .*shortened by a spreadsheet"),
        (HEAD + MILK.replace("12.80,1", '"12,80",1'), "digits and one point only"),
        (HEAD + MILK.replace("12.80,1", "١٢,1"), "column price: .*is no price"),
        (HEAD + MILK.replace("12.80,1", "42949672.96,1"), "over 42949672.95"),
        (HEAD + MILK.replace("Oat drink 1 l", " "), "line 2, column name: name is empty"),
        (HEAD + MILK.replace("Oat drink 1 l", "x" * 61), "column name: name has 61 characters"),
        (HEAD + MILK.replace("Oat drink 1 l", '"two\nlines"'), "column name: .*cannot be shown"),
        (HEAD + MILK.replace("1 l,12.80,n", "1 l,,n"), "column unit_price: unit and unit_price go together"),
        (HEAD + MILK.replace("1 l,12.80,n", ",12.80,n"), "column unit: unit and unit_price go together"),
        (HEAD + MILK.replace("north-mill", "North Mill"), "column brand"),
        (HEAD + MILK.replace("chiller", "x" * 17), "column zone"),
        (HEAD + "9521234000013,Oat, drink,12.80,,,,,\n", "line 2: 9 columns, the first line has 8"),
        (HEAD + '9521234000013,"Oat drink,12.80,,,,,\n', "line 2: .*check the quotes"),
        ((HEAD + MILK).encode("utf-16"), "is UTF-16; save it as CSV UTF-8"),
        (HEAD.encode() + MILK.replace("Oat", "燕麦").encode("gb18030"), "line 2: not UTF-8"),
        (b"PK\x03\x04rest", "is a spreadsheet, no CSV"),
        (b"\x00" * 20, "goods.csv"),
        (b"x" * (pricefile.MAX_BYTES + 1), "at most 16777216 are read"),
    ],
)
def test_a_bad_file_is_refused_whole_and_says_where(text: str | bytes, says: str) -> None:
    with pytest.raises(PriceFileError, match=says):
        read(text)


def test_many_faults_are_told_at_once_but_not_all() -> None:
    with pytest.raises(PriceFileError) as caught:
        read(HEAD + MILK.replace("12.80,1", "x,1").replace("0013", "0014") + NUTS.replace("19.9", "-1"))
    assert [str(caught.value).count(f"line {line}") for line in (2, 3)] == [2, 1]
    with pytest.raises(PriceFileError) as caught:
        read(HEAD + MILK.replace("12.80,1", "x,1") * 50)
    assert str(caught.value).count("line") == MOST_ERRORS
    assert "and more" in str(caught.value)


@given(st.integers(0, MAX_FEN))
@settings(max_examples=50)
def test_every_price_comes_back_to_the_fen(fen: int) -> None:
    assert fen_of(pricefile.yuan(fen)) == fen


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_any_bytes_are_a_list_or_are_refused(data: bytes) -> None:
    for given_bytes in (data, HEAD.encode() + data, HEAD.encode() + MILK.encode() + data):
        try:
            found = read(given_bytes)
        except PriceFileError:
            continue
        assert read(pricefile.write(found)) == found


def replace(connection: Connection, wanted: list[PriceEntry]) -> prices.Plan:
    return prices.replace(connection, wanted, prices.buckets(wanted))


# -- the ledger -------------------------------------------------------------------------------------


def test_an_import_says_what_changes_and_only_those_buckets_are_new(engine: Engine) -> None:
    first = read(HEAD + MILK + NUTS + BAG)
    with engine.begin() as connection:
        assert replace(connection, first) == prices.Plan(tuple(first), (), (), 0)
        before = tables.published(connection)
        assert prices.published(connection).version == 64
        assert set(prices.entries(connection)) == set(first)
    second = read(HEAD + MILK.replace("12.80,1", "13.80,1") + BAG + NUTS.replace("0020", "0037"))
    with engine.begin() as connection:
        found = replace(connection, second)
        assert [entry.key for entry in found.new] == [9521234000037]
        assert [(old.price_fen, new.price_fen) for old, new in found.changed] == [(1280, 1380)]
        assert ([entry.key for entry in found.removed], found.same) == ([9521234000020], 1)
        after = tables.published(connection)
        changed = {key for key in after if after[key] != before[key]}
        assert changed == {("prices", bucket_of(9521234000000 + n)) for n in (13, 20, 37)}
        assert prices.published(connection).version == 64 + len(changed)
        assert replace(connection, second).nothing
        assert tables.published(connection) == after
        assert tables.renew(connection) == 1  # the other tables are made here for the first time
        assert {key: one for key, one in tables.published(connection).items() if key[0] == "prices"} == after


def test_what_boards_are_told_is_what_they_look_up(engine: Engine) -> None:
    with engine.begin() as connection:
        replace(connection, read(DEMO.read_bytes()))
        told = {bucket: one for (_, bucket), one in tables.published(connection).items()}
    book = PriceBook()
    assert all(book.check(one) is None for one in told.values())
    book.changed(told)
    assert book.complete
    for entry in read(DEMO.read_bytes()):
        assert entry.gtin14 is not None
        assert book.look(encode_sgtin96(entry.gtin14, 5, 7)) == entry


def test_a_list_that_does_not_fit_is_refused_and_nothing_changes(engine: Engine) -> None:
    with engine.begin() as connection:
        replace(connection, read(HEAD + MILK))
    many = []
    for number in range(13_000):
        digits = f"9521{number:08d}"
        if bucket_of(key := int(digits + check_digit(digits))) == "7":
            many.append(PriceEntry(key, "\U0001f95b" * 60, 1, "a" * 12, 1))
    with pytest.raises(LedgerError, match="of the price list would hold"), engine.begin() as connection:
        replace(connection, many)
    with engine.connect() as connection:
        assert len(prices.entries(connection)) == 1


# -- the commands -----------------------------------------------------------------------------------


def test_the_commands(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "goods.csv"

    def said(action: str, *arguments: str, code: int = 0) -> str:
        assert main(["prices", action, *arguments, "--db", url]) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    assert "no price list here" in said("list")
    assert "cannot be read" in said("import", str(file), code=2)
    file.write_text(HEAD + MILK + NUTS + BAG)
    assert "dry run: nothing was changed" in said("import", str(file), "--dry-run")
    assert "no price list here" in said("list")
    told = said("import", str(file))
    assert "+ 09521234000013      12.80  Oat drink 1 l  (12.80 / 1 l)" in told
    assert "new 3, changed 0, removed 0, same 0" in told
    assert "table_prices_version 64" in told
    assert said("import", str(file)).splitlines() == ["new 0, changed 0, removed 0, same 3"]

    file.write_text(HEAD + MILK.replace("12.80,1", "13.80,1") + NUTS.replace("7.96", "x"))
    assert "line 3, column unit_price" in said("import", str(file), code=2)
    file.write_text(HEAD + MILK.replace("12.80,1", "13.80,1") + NUTS)
    told = said("import", str(file))
    assert "~ 09521234000013      13.80  Oat drink 1 l  (12.80 / 1 l) (was 12.80)" in told
    assert "- epc E28011606000020612345678       0.50  Bag" in told
    file.write_text(HEAD + BAG)
    assert "--shrink" in said("import", str(file), code=2)
    assert "2 goods, changed" in said("list")

    other = tmp_path / "out.csv"
    assert "2 goods" in said("export", str(other))
    assert read(other.read_bytes()) == read(HEAD + MILK.replace("12.80,1", "13.80,1") + NUTS)
    assert "same 2" in said("import", str(other))
    assert "removed 2" in said("import", str(file), "--shrink")
    assert "cannot be written" in said("export", str(tmp_path / "none" / "x.csv"), code=2)


# -- the demo list ----------------------------------------------------------------------------------


def test_the_demo_list_is_a_shop_of_two_brands() -> None:
    found = read(DEMO.read_bytes())
    assert 25 <= len(found) <= 40
    assert {entry.brand for entry in found} == {"north-mill", "lotus-lane"}
    assert all(str(entry.gtin14).startswith("0952") for entry in found)
    assert read(pricefile.write(found)) == found
