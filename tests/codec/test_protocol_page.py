"""docs/protocol.md says what the code does: tables, sizes, names and examples are held against it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import segno

from firmware.wire import acks, asks, commands, offers, passes, records, tables, topics
from firmware.wire.keys import parse_key_set
from firmware.wire.refusals import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]


def test_the_refusals_are_the_table() -> None:
    shown = rows(section("Refusals"))[2:]
    assert shown == [[str(r.number), f"`{name}`", " / ".join(r.words)] for name, r in REASONS.items()]


def test_the_pass_layout_adds_up() -> None:
    at = 0
    for offset, size, *_ in rows(section("Pass"))[2:]:
        if not size:
            break
        assert int(offset.strip("*")) == at
        at += int(size)
    assert at == passes.PASS_BYTES == 116
    assert "| **40** | 64 | Ed25519" in PAGE
    assert passes.BODY_BYTES == 40


def test_every_reason_of_the_order_of_checks_exists() -> None:
    order = [row[2].strip("`") for row in rows(section("Pass")) if row[0].isdigit() and len(row) == 3]
    assert len(order) == 11
    assert set(order) <= set(REASONS)


def test_a_pass_fits_the_code_the_page_names() -> None:
    text = "TG1:" + "A" * 174
    assert segno.make(text, error="m", boost_error=False, micro=False).designator == "7-M"
    assert segno.make(text + "A", error="m", boost_error=False, micro=False).designator == "8-M"


def test_the_frame_header_adds_up() -> None:
    at = 0
    for offset, size, *_ in rows(section("Records"))[2:7]:
        assert int(offset) == at
        at += int(size)
    assert at == records.HEADER_BYTES
    types = re.findall(r"\| (\d+) \| ([a-z ]+)", section("Records"))
    for number, name in types:
        if name.strip().replace(" ", "_").upper() in records.Kind.__members__:
            assert records.Kind[name.strip().replace(" ", "_").upper()] == int(number)
    assert {int(number) for number, _ in types} >= set(records.Kind)


def test_the_commands_are_the_table() -> None:
    text = section("Commands")
    named: dict[str, bool] = {}
    for cells in rows(text)[2:]:
        for name in re.findall(r"`([a-z-]+)`", cells[0]):
            named[name] = "*" in cells[0]
    assert named == {name: spec.harmless for name, spec in commands.NAMES.items()}
    assert {reason for reason in commands.REASONS if f"`{reason}`" not in text} == set()


def test_the_examples_decode() -> None:
    examples = [
        line.strip() for line in PAGE.splitlines() if line.startswith("    ") and "{" in line and '"' in line
    ]
    by_key = {next(iter(json.loads(line[line.index("{") :]))): line[line.index("{") :] for line in examples}
    assert acks.decode_nack(by_key["epoch"].encode()).reason == "crc"
    ack = re.search(r"ack   (\{.*\})", PAGE)
    assert ack is not None
    assert acks.decode_ack(ack[1].encode()).through == 42
    assert commands.decode(by_key["id"].encode()).name == "open"
    keys = by_key["keys"].replace("<64 hex digits>", "ab" * 32)
    assert sorted(parse_key_set(keys.encode()).active) == [2]


def test_every_topic_of_the_tables_parses() -> None:
    names = [row[0].strip("`") for row in rows(section("Topics")) if row[0].startswith("`")]
    assert len(names) == 14
    for name in names:
        filled = re.sub(r"<[a-z]+>", "x1", name)
        below = "store" if name.split("/")[0] in ("status", "used", "tables") else "entry-1"
        assert topics.parse(f"tallygate/1/demo/{below}/{filled}") is not None, name


def test_the_tables_are_those_of_the_program() -> None:
    text = section("Tables")
    shown = {row[0].strip("`"): (int(row[1]), int(row[2])) for row in rows(text) if row[0].startswith("`")}
    assert shown == {name: (spec.entry_size, spec.buckets) for name, spec in tables.SPECS.items()}
    assert f"at most {tables.MAX_MESSAGE:,} bytes" in text
    assert text.count(f"at most {tables.MAX_DATA:,}") == 2
    assert f"0 to {tables.MAX_ENTRY};" in text
    assert tables.MAX_VERSION == 2**53 - 1
    question = re.search(r'`(\{"table".*?\})`', text)
    assert question is not None
    assert asks.decode_table_question(question[1].encode()).table in tables.SPECS
    answer = re.search(r'`(\{"wall_ms".*?\})`', text)
    assert answer is not None
    assert asks.decode_time_answer(answer[1].encode()) == 1_800_000_000_000


def test_the_tables_examples_are_the_bytes() -> None:
    lines = [line for line in section("Tables").splitlines() if line.startswith("    8")]
    snapshot = tables.decode_snapshot(bytes.fromhex(lines[0]))
    delta = tables.decode_delta(bytes.fromhex(lines[1]))
    first = (1).to_bytes(8, "big")
    assert snapshot == tables.snapshot_of(3, 8, [first, (2).to_bytes(8, "big")])
    assert tables.take_delta(tables.snapshot_of(2, 8, [first]), delta) == snapshot


def test_the_examples_of_offers_and_payments_are_read() -> None:
    text = section("Offers and payments")
    found = re.findall(r"^    (ask|ans)/(\w+) +(\{.*\})$", text, re.MULTILINE)
    readers = {
        ("ans", "offer"): offers.decode_offer,
        ("ask", "pay"): offers.decode_pay_question,
        ("ans", "pay"): offers.decode_pay_stand,
    }
    assert {(way, name) for way, name, _ in found} == set(readers)
    for way, name, example in found:
        value = readers[way, name](example.encode())
        assert json.loads(value.encode()) == json.loads(example)
    assert f"{offers.MAX_BYTES:,} bytes" in text
