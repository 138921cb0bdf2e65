"""``tallygate frames``: every frame of the vectors in words, however it comes; what is not hex is told."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.reader.families import PROTOCOLS
from provisioning import cli
from provisioning.frames import Protocol, decode
from provisioning.hexstream import HexError, HexStream
from provisioning.trouble import Trouble
from tests.support.readers import VECTORS

ROWS = [row for row in VECTORS if row["protocol"] in PROTOCOLS]
TAG_KEYS = [
    "event",
    "epc",
    "pc",
    "rssi_dbm",
    "rssi_raw",
    "antenna",
    "freq_khz",
    "phase",
    "read_count",
    "module_ms",
]
TAG = "BB 02 22 00 11 C8 34 00 E2 00 10 71 00 00 52 9B 09 40 B4 02 16 3D D3 7E"
NO_TAG = "BB 01 FF 00 01 15 16 7E"


class Pieces(io.RawIOBase):
    """Standard input as a pipe gives it: so many bytes at a time."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        self._data, self._sizes = data, sizes

    def read1(self, _: int) -> bytes:
        size = next(self._sizes)
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def lines(text: str, protocol: str, direction: str = "module") -> list[dict[str, Any]]:
    pieces = decode(io.BytesIO(text.encode()), protocol, direction)
    return [json.loads(line) for piece in pieces for line in piece.splitlines()]


def side(row: dict[str, Any]) -> str:
    return "host" if row["direction"] == "host->reader" else "module"


def numbers(decoded: dict[str, Any]) -> set[str]:
    return {f"0x{int(decoded[key], 16):02X}" for key in ("cmd", "opcode", "recmd") if key in decoded}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_vector_gives_sensible_lines(protocol: str) -> None:
    rows = [row for row in ROWS if row["protocol"] == protocol]
    assert len(rows) >= 20
    for row in rows:
        *events, end = lines(row["hex"], protocol, side(row))
        decoded, name = row["decoded"], row["name"]
        assert {"event", "frames", "bad_check", "junk_bytes"} <= end.keys(), name
        size = len(bytes.fromhex(row["hex"]))
        if not row["checksum_ok"]:
            assert (events, end["frames"], end["junk_bytes"]) == ([], 0, size), name
            continue
        assert (end["event"], end["frames"], end["junk_bytes"]) == ("end", 1, 0), name
        assert events or end.get("dropped_tags") or end.get("unknown_frames"), name
        for event in events:
            assert event["event"] in ["tag", "response", "error", "alive", "round", "condition", "command"], (
                name
            )
            if event.get("cmd") is not None and "tag" not in name:
                assert event["cmd"] in numbers(decoded), name
            if event["event"] == "command":
                assert event["data"] == decoded.get("data", decoded.get("params")), name
                assert side(row) == "host"
                assert event["name"]
        tags = [event for event in events if event["event"] == "tag"]
        for tag in tags:
            assert list(tag) == TAG_KEYS, name
        for tag, said in zip(tags, decoded_tags(decoded), strict=False):
            for key in ("epc", "pc", "rssi_dbm", "freq_khz", "phase"):
                if key in said:
                    assert tag[key] == said[key], (name, key)
            if said.get("antenna", said.get("antenna_tx")):
                assert tag["antenna"] == said.get("antenna", said.get("antenna_tx")), name
            elif "antenna_mask" in decoded:
                assert 1 << (tag["antenna"] - 1) == decoded["antenna_mask"], name


def decoded_tags(decoded: dict[str, Any]) -> list[dict[str, Any]]:
    return decoded.get("tags") or [decoded.get("tag") or decoded]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("direction", ["host", "module"])
def test_the_same_lines_in_random_pieces_and_other_spellings(protocol: str, direction: str) -> None:
    rows = [row for row in ROWS if row["protocol"] == protocol and side(row) == direction]
    text = "\n".join(row["hex"] for row in rows)
    whole = lines(text, protocol, direction)
    assert len(whole) > 5
    rng = random.Random(protocol + direction)
    spellings: list[Callable[[str], str]] = [
        lambda t: t,
        lambda t: t.replace(" ", "").lower(),
        lambda t: "".join(f"0x{byte:02x}, " for byte in bytes.fromhex(t)),
        lambda t: bytes.fromhex(t).hex(":"),
        lambda t: "\ufeff" + t.replace("\n", "\r\n\t"),
    ]
    for spell in spellings:
        pieces = Pieces(spell(text).encode(), iter(lambda: rng.choice((1, 2, 3, 7, 50, 300)), 0))
        told = decode(pieces, protocol, direction)  # type: ignore[arg-type]
        assert [json.loads(line) for piece in told for line in piece.splitlines()] == whole


def test_answers_that_a_technician_looks_at_are_decoded() -> None:
    def decoded(protocol: str, text: str) -> dict[str, Any]:
        found: dict[str, Any] = lines(text, protocol)[0]["decoded"]
        return found

    hecto = decoded("thingmagic", next(row["hex"] for row in ROWS if row["name"] == "version M7E Hecto"))
    assert (hecto["model"], hecto["firmware"]) == ("M7E Hecto", "02.01.06.08")
    power = decoded("thingmagic", "FF 03 62 00 00 00 04 B0 AF 16")
    assert power == {"power_dbm": 12.0}
    assert decoded("yrm100", "BB 01 03 00 0B 00 4D 31 30 30 20 56 31 2E 30 30 22 7E") == {
        "hardware": "M100 V1.00"
    }
    assert decoded("uhfreader18", "0D 00 21 00 01 17 08 03 3E 00 0D 1E B1 F1")["power_dbm"] == 13


def test_counters_name_what_was_lost() -> None:
    *events, end = lines(f"00 FF {TAG} {TAG[:-5]} 00 {NO_TAG}", "yrm100")
    assert [event["event"] for event in events] == ["tag", "error"]
    assert (end["frames"], end["bad_check"], end["junk_bytes"]) == (2, 1, 25)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(PROTOCOLS), st.sampled_from(["host", "module"]))
def test_garbage_ends_with_an_end_line(data: bytes, protocol: str, direction: str) -> None:
    *_, end = lines(data.hex(" "), protocol, direction)
    assert end["event"] == "end"
    assert end["junk_bytes"] <= len(data)


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("BB 00\nzz", 2, 1, "'z'"),
        ("BB 0G", 1, 5, "'G'"),
        ("BB 00 2", 1, 7, "one digit"),
        ("BB\r\n 0x123 00", 2, 6, "odd number"),
        ("BB 0x 00", 1, 6, "no digit after 0x"),
        ("BB 00 |..|", 1, 7, "'|'"),
        ("1x22", 1, 2, "'x'"),
    ],
)
def test_what_is_not_hex_is_told_with_its_place(text: str, line: int, column: int, word: str) -> None:
    stream = HexStream()
    _, error = stream.feed(text)
    if error is None:
        _, error = stream.end()
    assert isinstance(error, HexError)
    assert (error.line, error.column) == (line, column)
    assert word in str(error)


@given(st.binary(max_size=40), st.randoms(use_true_random=False))
def test_hex_comes_back_whatever_stands_between(data: bytes, rng: random.Random) -> None:
    text = "".join(
        rng.choice(("{:02x}", "{:02X} ", "0x{:02X},", " {:02x}\n", "{:02X}:", "0x{:x} ")).format(byte)
        for byte in data
    )
    stream, out = HexStream(), b""
    while text:
        size = rng.randint(1, 7)
        piece, text = text[:size], text[size:]
        found, error = stream.feed(piece)
        out += found
        assert error is None
    found, error = stream.end()
    assert error is None
    assert out + found == data


def test_events_before_a_fault_are_printed_first(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(text: str, *arguments: str) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        code = cli.main(["frames", *arguments])
        out, err = capfd.readouterr()
        return code, out.splitlines(), err

    code, out, err = run(f"{TAG}\n{NO_TAG} what?", "--protocol", "yrm100")
    assert (code, len(out)) == (2, 2)
    assert "line 2, column 25" in err
    assert len(err.splitlines()) == 1
    code, out, err = run(TAG, "--protocol", "yrm100", "--direction", "reader")
    assert (code, json.loads(out[0])["epc"], err) == (0, "e20010710000529b0940b402", "")
    code, out, err = run("", "--protocol", "nonsense")
    assert (code, out) == (2, [])
    assert all(name in err for name in PROTOCOLS)
    code, out, err = run(TAG)
    assert (code, out) == (2, [])
    with pytest.raises(Trouble):
        lines("BB zz", "yrm100")


def test_an_endless_pipe_is_answered_frame_by_frame_and_counted_at_ctrl_c() -> None:
    command = [sys.executable, "-m", "provisioning.cli", "frames", "--protocol", "yrm100"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(f"{TAG}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["event"] == "tag"
        process.stdin.write(f"{NO_TAG} {TAG[:20]} 7")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["event"] != "end"
        process.send_signal(signal.SIGINT)
        end = json.loads(process.stdout.readline())
        assert end == {"event": "end", "frames": 4, "bad_check": 0, "junk_bytes": 7}
        assert process.wait(20) == 130


def test_a_closed_standard_input_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["frames", "--protocol", "r2000"]) == 2
    assert cli.main(["epc", "-"]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("standard input is closed")) == ("", 2)


def test_the_command_line_names_every_protocol() -> None:
    assert sorted(Protocol) == sorted(PROTOCOLS)
