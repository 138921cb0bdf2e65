"""After the tour: what you are told about pictures, faults and passes while the door is yours."""

from __future__ import annotations

import io
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from firmware.wire.passes import verify
from firmware.wire.records import Admitted, Refused, Stamp
from firmware.wire.refusals import REASONS
from provisioning import keys
from provisioning.listener import Seen
from provisioning.scan import codes_in
from provisioning.tour_script import Issuer
from provisioning.visitor import Visitor

STAMP = Stamp(1_700_000_000_000, 1000, b"boot", "declared")


class Done(Exception):
    """The script is at its end."""


class Script:
    """Stands for the listener: each ``next`` does one act and gives its record."""

    def __init__(self, *acts: Any) -> None:
        self.state: dict[str, Any] = {}
        self._acts = list(acts)

    def next(self, _wait_s: float) -> Seen | None:
        if not self._acts:
            raise Done
        act = self._acts.pop(0)
        record = act(self) if callable(act) else act
        return None if record is None else Seen(1, 1, b"", record)


class Walks:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def ask(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        return {}


def visit(tmp_path: Path, *acts: Any) -> tuple[str, Walks, Issuer]:
    inbox = tmp_path / "inbox"
    for name in ("seen", "unreadable"):
        (inbox / name).mkdir(parents=True, exist_ok=True)
    issuer = Issuer(1, keys.make(tmp_path / "keys"), keys.make(tmp_path / "foreign"), "demo")
    out, world, script = io.StringIO(), Walks(), Script(*acts)
    visitor = Visitor(
        Console(file=out, width=200),
        world,  # type: ignore[arg-type]
        script,  # type: ignore[arg-type]
        issuer,
        inbox,
        tmp_path / "pass.png",
        None,
    )
    with pytest.raises(Done):
        visitor.run()
    return out.getvalue(), world, issuer


def test_pass_file_always_holds_a_pass_the_gate_takes(tmp_path: Path) -> None:
    text, _, issuer = visit(tmp_path)
    assert "The door is yours" in text
    picture = tmp_path / "pass.png"
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600
    (code,) = codes_in(picture)
    public = {1: issuer.private.public_key().public_bytes_raw()}
    shown = verify(code, store_id="demo", keys=public, now_s=time.time())
    assert getattr(shown, "kind", "") == "entry"


def test_whoever_is_admitted_walks_and_refusals_say_what_to_do(tmp_path: Path) -> None:
    refused = Refused(STAMP, REASONS["stale-code"].number, "pass")
    text, world, _ = visit(tmp_path, Admitted(STAMP, bytes(8), "in", 2, "entry"), refused)
    assert world.asked == [{"walk": {"people": 2}}]
    assert "opened for 2 people" in text
    assert "fresh pass" in text.split("stale-code")[1]


def test_pictures_that_say_nothing_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.visitor.NO_CODE_S", -1.0)
    inbox = tmp_path / "inbox"

    def drop(name: str) -> Any:
        return lambda _script: (inbox / name).write_bytes(b"x") and None

    text, _, _ = visit(
        tmp_path, drop("wall.jpg"), drop("unreadable/junk.png"), drop("phone.heic"), drop(".hidden.jpg"), None
    )
    assert "wall.jpg: taken up" in text
    assert "wall.jpg: no code was read" in text
    assert "junk.png: cannot be opened" in text
    assert "phone.heic: not a picture that is read here" in text
    assert "hidden" not in text


def test_pictures_dropped_together_each_get_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.visitor.NO_CODE_S", -1.0)

    def drop(_script: Script) -> None:
        for number in range(3):
            (tmp_path / "inbox" / f"{number}.png").write_bytes(b"x")

    text, _, _ = visit(tmp_path, drop, None)
    assert "0.png: no code was read" in text
    assert "2.png: no code was read" not in text


def test_names_of_files_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    def drop(_script: Script) -> None:
        for name in (b"a\x1b[2Jb.png", b"c\nd.png", b"e\xfff.png"):
            (tmp_path / "inbox" / os.fsdecode(name)).write_bytes(b"x")

    text, _, _ = visit(tmp_path, drop, None)
    for told in ("a?[2Jb.png: taken up", "c?d.png: taken up", "e?f.png: taken up"):
        assert told in text


def test_fault_is_told_once_when_it_comes_and_once_when_it_is_over(tmp_path: Path) -> None:
    fault = {"part": "camera", "reason": "no such device", "check": "the cable"}

    def say(*faults: Any) -> Any:
        return lambda script: script.state.update(faults=list(faults))

    text, _, _ = visit(tmp_path, say(fault, "nonsense"), None, None, say(), None)
    assert text.count("FAULT camera: no such device; check: the cable") == 1
    assert text.count("camera is well again") == 1
