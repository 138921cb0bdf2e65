"""The self-test by role: real runs of simulated boards, and what its steps say of parts that are not well."""

from __future__ import annotations

import asyncio
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware import run
from firmware.boardfile import load, load_site
from firmware.loop import Guard
from firmware.selftest import READER, lines, reading, selftest, steps_of
from firmware.selftest.bench import Bench, Result
from firmware.selftest.reading import Heard, antennas, radio, tags
from firmware.sync.documents import Documents
from hal.ports import DeviceCondition, DeviceNote, TagRead
from provisioning import toml_text
from tests.support.broker import free_port

BOARDS = Path(__file__).parents[2] / "boards"
EPC = bytes.fromhex("3034257BF7194E4000001A85")
WELL = {"reader_bad_checks": 0, "reader_junk_bytes": 0}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LISTEN_S", 0.4)


def files(folder: Path, name: str, **changes: Any) -> tuple[Path, Path]:
    board = tomllib.loads((BOARDS / name).read_text())
    for section, value in changes.items():
        if value is None:
            board.pop(section, None)
        else:
            board[section] = {**board.get(section, {}), **value}
    path, site = folder / "board.toml", folder / "site.toml"
    path.write_text(toml_text.dumps(board))
    site.write_text(
        f'store = "demo"\nboard = "b-1"\ndata = "{folder}/data"\n[broker]\nport = {free_port()}\n'
        f'[pass_keys]\n1 = "{"ab" * 32}"\n'
    )
    return path, site


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path, site = files(tmp_path, "sim-portal.toml")
    loop = asyncio.new_event_loop()
    failures: list[str] = []
    yield Bench(load(path), load_site(site), loop, Guard(loop, failures.append))
    loop.close()
    assert failures == []


def words(out: str) -> dict[str, str]:
    """Result by step."""
    rows = [line.split(maxsplit=3) for line in out.splitlines() if line[2:3] == "."]
    assert [row[0] for row in rows] == [f"{number}." for number in range(1, len(rows) + 1)]
    return {row[1]: row[2] for row in rows}


def test_a_portal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    screen = tmp_path / "screen.png"
    display = {"driver": "png", "path": str(screen)}
    path, site = files(tmp_path, "sim-portal.toml", camera=None, display=display)
    assert selftest(path, site) == 0
    out = capsys.readouterr().out
    said = words(out)
    look = {"broker", "prices"}  # nobody there, and no list yet
    assert {name for name, word in said.items() if word == "LOOK"} == look
    assert {name for name, word in said.items() if word == "PASS"} == set(said) - look
    for text in (
        "occupied rest, crowded rest, help rest",
        "left at their safe values: lamp_green, lamp_red, buzzer",
        "R2000 (A0), firmware 8.2",
        "cn900, 20 dBm",
        "4 (away): ",
        f"{EPC.hex().upper()} (the simulated tag)",
        "no price list has come yet",
    ):
        assert text in out, text
    assert screen.is_file()
    documents = Documents.open(tmp_path / "data" / "board.json")
    kept = documents.get("selftest", "last")
    documents.close()
    assert kept is not None
    assert kept["steps"]["reader"]["result"] == "PASS"


def test_a_price_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, site = files(tmp_path, "sim-pricepoint.toml")
    assert selftest(path, site) == 0
    out = capsys.readouterr().out
    assert words(out)["tags"] == "PASS"
    assert "no lines in the board file" in out
    assert "M100 26dBm" in out


def test_a_reader_that_is_not_there_fails_with_what_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = {"port": str(tmp_path / "ttyNone")}
    path, site = files(tmp_path, "sim-pricepoint.toml", reader=port)
    assert selftest(path, site) == 1
    out = capsys.readouterr().out
    said = words(out)
    assert {name for name, word in said.items() if word == "FAIL"} == {name for name, _ in READER}
    assert "ttyNone" in out
    assert "the port named in the board file" in out


def test_nothing_is_touched_while_the_boards_own_program_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "HELD_S", 0.0)
    path, site = files(tmp_path, "sim-pricepoint.toml")
    held = run.hold(site, tmp_path / "data")
    with pytest.raises(run.FolderHeld, match="another board program runs"):
        selftest(path, site)
    assert capsys.readouterr().out == ""
    os.close(held)


def test_a_disk_that_is_not_there_fails_as_its_own_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, site = files(tmp_path, "sim-pricepoint.toml")
    (tmp_path / "data").write_text("a file, no folder")
    assert selftest(path, site) == 1
    assert words(capsys.readouterr().out)["disk"] == "FAIL"


def test_a_gate_without_a_reader_has_neither_its_steps_nor_prices(tmp_path: Path) -> None:
    names = [name for name, _ in steps_of(load(BOARDS / "gate-pi5.toml"))]
    assert names == ["model", "disk", "clock", "broker", "pins", "camera", "display"]
    assert "prices" not in [name for name, _ in steps_of(load(BOARDS / "sim-entry.toml"))]


def read(port: int = 1, epc: bytes = EPC, dbm: float | None = -50.0) -> TagRead:
    return TagRead(epc, 0x3000, port, dbm, 77, 0.0)


def heard(*reads: TagRead, **more: Any) -> Heard:
    given: dict[str, Any] = {"conditions": (), "notes": (), "stats": WELL, **more}
    return Heard({"model": "R2000"}, reads, seconds=2.0, **given)


def test_nothing_is_said_of_a_reader_that_was_not_brought_up(bench: Bench) -> None:
    assert [step(bench).ok for step in (radio, antennas, tags)] == [False] * 3


def test_an_antenna_that_reads_nothing_is_named(bench: Bench) -> None:
    bench.heard = heard(read(1), read(1), read(2), read(4))
    result = antennas(bench)
    assert result.ok is None
    assert result.found == "1: 2 reads, 2: 1 reads, 3: none, 4 (away): 1 reads"
    assert "antenna 3" in result.check
    bench.heard = heard(read(1), read(7))
    assert (antennas(bench).ok, "antenna 7" in antennas(bench).found) == (False, True)


@pytest.mark.parametrize("name", ["hot", "return-loss", "antenna-missing"])
def test_what_the_module_complains_of_fails(bench: Bench, name: str) -> None:
    complaint = DeviceCondition("reader", name, True, "antenna 2: it sends the power back", "the cable", 0.0)
    bench.heard = heard(read(), conditions=(complaint,), stats={**WELL, "reader_temperature_c": 61})
    result = radio(bench)
    assert result.ok is False
    assert "61 °C" in result.found
    assert "antenna 2" in result.found
    assert result.check == "the cable"


def test_a_line_that_damages_frames_is_worth_a_look(bench: Bench) -> None:
    bench.heard = heard(read(), stats={**WELL, "reader_bad_checks": 3})
    assert radio(bench).ok is None
    note = DeviceNote("reader", "reader_resets", "the module lost its settings", 0.0)
    bench.heard = heard(read(), notes=(note,))
    assert radio(bench).lines == ("reader_resets: the module lost its settings",)


def test_tags_are_listed_by_how_often_they_were_read(bench: Bench) -> None:
    other = EPC[:-1] + b"\x86"
    bench.heard = heard(read(1, other, None), *(read(port, EPC, -40.0 - port) for port in (1, 2, 2)))
    result = tags(bench)
    assert result.ok is True
    assert result.found == "4 reads in 2 s (2/s), tags: 2"
    assert result.lines[0] == f"{EPC.hex().upper()}: 3 reads, best -41 dBm, antenna 1, 2"
    assert result.lines[1] == f"{other.hex().upper()}: 1 reads, best level 77, antenna 1"
    assert "background" in result.lines[2]
    bench.heard = heard(*(read(1, bytes([0x30, n]) * 6) for n in range(30)))
    assert "and 10 more" in tags(bench).lines
    bench.heard = heard()
    assert tags(bench).ok is None


def test_every_odd_level_says_what_it_means() -> None:
    lamps = {"lamp_green": False, "lamp_red": False}
    well = lines.judge({"occupied": False, "crowded": False}, lamps)
    assert well == Result(
        True, "occupied rest, crowded rest", "", ("left at their safe values: lamp_green, lamp_red",)
    )
    for name, check in lines.ODD.items():
        result = lines.judge({"leaf": True, name: True}, {})
        assert (result.ok, result.check) == (None, check)
        assert f"{name} active" in result.found
