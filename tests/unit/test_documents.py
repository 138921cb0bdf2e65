"""Documents: a power cut at any moment leaves the new ones or the previous ones, and never an empty file."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from firmware.sync.documents import MAX_DOCUMENTS, Documents, DocumentsFault, DocumentsUnreadable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.json"


def _bak(path: Path) -> Path:
    return path.with_name(path.name + ".bak")


def _two_versions(path: Path) -> None:
    kept = Documents.open(path)
    kept.put("identity", "board", {"id": "entry-1"})
    kept.put("identity", "board", {"id": "entry-2"})


def test_documents_by_kind_and_name(path: Path) -> None:
    kept = Documents.open(path)
    assert kept.get("keys", "7") is None
    kept.put("keys", "8", {"key": "ü"})
    kept.put("keys", "7", {"key": "a", "parts": [1, 2, {"deep": None}]})
    kept.put("calibration", "camera", {})
    again = Documents.open(path)
    assert again.all("keys") == {"7": {"key": "a", "parts": [1, 2, {"deep": None}]}, "8": {"key": "ü"}}
    assert again.get("calibration", "camera") == {}
    assert again.remove("keys", "7")
    assert not again.remove("keys", "7")
    assert Documents.open(path).all("keys") == {"8": {"key": "ü"}}
    assert again.recovered is None
    again.close()


@pytest.mark.parametrize(
    "text",
    [
        b'{"identity": [1]}',
        b'{"identity": {"1": {"nam": "board"}}}',
        b'{"identity": {"1": {"name": "board", "value": 3}}}',
        b'{"identity": {"one": {"name": "board", "value": {}}}}',
        b"[" * 100_000,
    ],
)
def test_another_shape_counts_as_damaged_although_its_crc_holds(path: Path, text: bytes) -> None:
    _two_versions(path)
    path.write_bytes(b"crc32 %08x\n" % zlib.crc32(text) + text)
    kept = Documents.open(path)
    assert kept.all("identity") == {"board": {"id": "entry-1"}}
    assert kept.recovered is not None


def test_the_file_is_text_for_people_and_for_nobody_else(path: Path) -> None:
    _two_versions(path)
    lines = path.read_text().splitlines()
    assert lines[0].startswith("crc32 ")
    assert '"id": "entry-2"' in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "json", "gone"])
def test_the_previous_copy_takes_over(path: Path, damage: str) -> None:
    _two_versions(path)
    data = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(data[:-5])
        case "empty":
            path.write_bytes(b"")
        case "flip":
            path.write_bytes(data.replace(b"entry-2", b"entry-3"))
        case "json":
            path.write_bytes(b"crc32 %08x\n[]" % zlib.crc32(b"[]"))
        case "gone":
            path.unlink()
    kept = Documents.open(path)
    assert kept.recovered is not None
    assert kept.get("identity", "board") == {"id": "entry-1"}
    kept.put("identity", "board", {"id": "entry-4"})
    again = Documents.open(path)
    assert again.get("identity", "board") == {"id": "entry-4"}
    assert again.recovered is None
    if damage != "gone":
        (aside,) = path.parent.glob("*.corrupt-*")
        assert aside.read_bytes() != data


def test_both_copies_bad_is_an_error_and_nothing_is_written(path: Path) -> None:
    _two_versions(path)
    path.write_bytes(b"x")
    _bak(path).write_bytes(b"y")
    with pytest.raises(DocumentsUnreadable, match="restore one of the two") as caught:
        Documents.open(path)
    assert caught.value.check
    assert (path.read_bytes(), _bak(path).read_bytes()) == (b"x", b"y")


def test_newest_damaged_and_no_previous_is_an_error(path: Path) -> None:
    Documents.open(path).put("identity", "board", {})
    _bak(path).unlink(missing_ok=True)
    path.write_bytes(b"")
    with pytest.raises(DocumentsUnreadable):
        Documents.open(path)


def test_damage_while_running_is_seen_at_the_next_read(path: Path) -> None:
    _two_versions(path)
    kept = Documents.open(path)
    path.write_bytes(b"")
    _bak(path).write_bytes(b"")
    with pytest.raises(DocumentsUnreadable):
        kept.get("identity", "board")
    with pytest.raises(DocumentsUnreadable):
        kept.put("identity", "board", {"id": "entry-9"})


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "os.open"])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_an_error_in_any_step_leaves_something_whole(
    path: Path, mocker: MockerFixture, call: str, nth: int
) -> None:
    """fsync, rename or open of the folder failing, the first time or later: old or new, never nothing."""
    _two_versions(path)
    kept = Documents.open(path)
    real, calls = getattr(os, call.split(".")[1]), 0

    def failing(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls > nth:
            raise OSError(5, "Input/output error", str(args[0]))
        return real(*args, **kwargs)

    mocker.patch(call, failing)
    try:
        kept.put("identity", "board", {"id": "entry-3"})
        failed = False
    except DocumentsFault as fault:
        failed = "Input/output error" in fault.reason
    mocker.stopall()
    found = Documents.open(path).get("identity", "board")
    assert found in ({"id": "entry-2"}, {"id": "entry-3"})
    assert failed or found == {"id": "entry-3"}
    kept.put("identity", "board", {"id": "entry-4"})
    assert Documents.open(path).get("identity", "board") == {"id": "entry-4"}


def test_a_power_cut_between_any_two_steps(path: Path, mocker: MockerFixture) -> None:
    """The program ends before the n-th rename or fsync of a write."""
    for step in range(4):
        kept = Documents.open(path)
        kept.put("identity", "board", {"id": "old"})
        done = 0

        def cut(real: object, step: int = step) -> object:
            def call(*args: object) -> object:
                nonlocal done
                if done == step:
                    raise KeyboardInterrupt
                done += 1
                return real(*args)  # type: ignore[operator]

            return call

        mocker.patch("os.fsync", cut(os.fsync))
        mocker.patch.object(Path, "replace", cut(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            kept.put("identity", "board", {"id": "new"})
        mocker.stopall()
        assert Documents.open(path).get("identity", "board") in ({"id": "old"}, {"id": "new"})


def test_under_a_thousand_documents(path: Path, mocker: MockerFixture) -> None:
    mocker.patch("firmware.sync.documents.MAX_DOCUMENTS", 20)
    assert MAX_DOCUMENTS == 1000
    kept = Documents.open(path)
    for n in range(19):
        kept.put("keys", str(n), {})
    with pytest.raises(ValueError, match="keys/19 would be document 20"):
        kept.put("keys", "19", {})
    kept.put("keys", "3", {"changed": True})
    assert kept.count() == 19


def test_only_json_is_taken(path: Path) -> None:
    kept = Documents.open(path)
    with pytest.raises(TypeError):
        kept.put("keys", "1", {"key": b"raw"})
    assert Documents.open(path).count() == 0
