"""The real board process: ready, its words to systemd and the broker, its ends, its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.wire.commands import Command
from firmware.wire.records import Admitted, Alarm, Annulled, Passed, Started, decode_body
from tests.support.boardproc import BoardProcess, Ears
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.procs import descendants
from tests.support.storeproc import StoreProcess

Make = Callable[..., BoardProcess]


@pytest.fixture
def make(tmp_path: Path, own_broker: Mosquitto) -> Iterator[Make]:
    made: list[BoardProcess] = []

    def build(**changes: object) -> BoardProcess:
        made.append(BoardProcess(tmp_path, own_broker.port, **changes))
        return made[-1]

    yield build
    for board in made:
        board.close()


@pytest.fixture
def ears(own_broker: Mosquitto) -> Iterator[Ears]:
    listening = Ears(own_broker.port)
    yield listening
    listening.close()


@pytest.fixture
def shop(tmp_path: Path, own_broker: Mosquitto) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path / "store", own_broker.port) as store:
        yield store


def records(store: StoreProcess, board: str = "entry-1") -> list[object]:
    return [decode_body(body) for body in store.bodies(board)]


def kinds(store: StoreProcess, board: str = "entry-1") -> list[str]:
    return [type(record).__name__ for record in records(store, board)]


def children(board: BoardProcess) -> set[int]:
    assert board.process is not None
    return {pid for pid, _ in descendants(board.process.pid)}


def test_a_code_before_the_camera_leaves_a_record_in_the_shop(
    make: Make, shop: StoreProcess, ears: Ears
) -> None:
    board = make().start()
    issued = board.admit()
    board.world.ask(walk={"people": 1})
    # What was sent before the store listened is sent again: a later record may be there first.
    until(lambda: kinds(shop) == ["Started", "Admitted", "Passed"], 30, board.log())
    started, admitted, passed = records(shop)
    assert isinstance(started, Started)
    assert isinstance(admitted, Admitted)
    assert isinstance(passed, Passed)
    assert admitted.visit == passed.visit == issued.fields.visit
    assert passed.ref_seq == 2
    assert not admitted.offline
    state, health = (f"tallygate/1/demo/entry-1/{name}" for name in ("state", "health"))
    until(lambda: ears.get(state).get("last_seq") == 3 and ears.get(health).get("passed") == 1, 10)
    assert ears.get(state)["last_visit"] == issued.fields.visit.hex()
    assert all(isinstance(value, int | float) for value in ears.get(health).values())
    assert ears.get("homeassistant/device/tallygate-demo-entry-1/config")["dev"]["name"] == "entry-1"
    until(lambda: ears.get(health).get("queued") == 0, 30, "the queue to be settled")
    assert ears.heard("opened", uses=1)
    until(lambda: board.heard("WATCHDOG=1"), 10)
    assert board.stop() == 0
    assert board.heard("STOPPING=1")
    until(lambda: ears.get(state).get("online") is False, 10)


def test_killed_between_grant_and_passage_gives_the_use_back(make: Make, shop: StoreProcess) -> None:
    board = make().start()
    issued = board.admit()
    until(lambda: "Admitted" in kinds(shop), 20)
    board.kill()
    board.start()
    until(lambda: "Annulled" in kinds(shop), 20, board.log())
    annulled = next(r for r in records(shop) if isinstance(r, Annulled))
    assert (annulled.visit, annulled.why, annulled.ref_seq) == (issued.fields.visit, "restart", 2)
    board.admit(issued)
    # Started, Admitted; Annulled, Started, Admitted. Rows may come in any order.
    until(lambda: sorted(seq for _, seq, _ in shop.rows())[:5] == [1, 2, 3, 4, 5], 20, board.log())


def test_nothing_is_left_running_after_a_kill(make: Make) -> None:
    board = make(decoder={"second_opinion": "zbar"}).start()
    found = until(lambda: len(children(board)) == 2 and children(board), 10, "camera and zbar child")
    board.kill()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in found), 10, "children to end")


def test_a_killed_camera_comes_back_and_holds_nothing_of_the_gate(make: Make, ears: Ears) -> None:
    board = make().start()
    (first,) = children(board)
    os.kill(first, signal.SIGKILL)
    (second,) = until(lambda: children(board) - {first}, 20)
    board.admit()
    held = [str(fd.readlink()) for fd in Path(f"/proc/{second}/fd").iterdir()]
    for name in held:
        assert not name.startswith("socket:"), held
        assert "/dev/pts" not in name, held
        assert "journal" not in name, held
        assert "gpio" not in name, held


def test_a_frozen_camera_is_replaced_and_reported(make: Make, ears: Ears) -> None:
    board = make(camera={"driver": "simulated", "progress_s": 0.6}).start()
    (first,) = children(board)
    os.kill(first, signal.SIGSTOP)
    state = "tallygate/1/demo/entry-1/state"
    until(lambda: any(f["part"] == "camera" for f in ears.get(state).get("faults", [])), 20)
    until(lambda: children(board) - {first}, 20)
    until(lambda: not any(f["part"] == "camera" for f in ears.get(state).get("faults", [])), 20)
    board.admit()


def test_sigterm_in_the_middle_of_a_passage_lets_go(make: Make) -> None:
    board = make().start()
    board.admit()
    assert board.stop() == 0
    assert "SIGTERM: outputs go to their safe values" in board.log()
    assert "Traceback" not in board.log()


def test_a_changed_board_file_is_applied_while_idle(make: Make, ears: Ears) -> None:
    board = make().start()
    state = "tallygate/1/demo/entry-1/state"
    board.board["gate"]["pass_s"] = 3.0
    board.write()
    until(lambda: "the changed board file is applied" in board.log(), 20)
    until(lambda: board.state() == "closed", 20)
    board.admit()
    until(lambda: ears.heard("annulled", why="not-used"), 10, "the new pass_s to count")
    board.board["gate"]["pass_s"] = 999.0
    board.write()
    found = until(lambda: ears.get(state).get("faults"), 20)
    assert found[0]["part"] == "board-file"
    assert "gate.pass_s" in found[0]["reason"]
    until(lambda: board.state() == "closed", 20)
    board.admit()


def test_remote_commands_are_obeyed_once(make: Make, ears: Ears, own_broker: Mosquitto) -> None:
    board = make().start()
    topic = "tallygate/1/demo/entry-1/cmd/{}"
    store = Ears(own_broker.port, "store")
    until(lambda: ears.get("tallygate/1/demo/entry-1/state").get("online"), 20)

    def send(name: str, id_: str, *, age_ms: int = 0, retain: bool = False) -> None:
        now = time.time_ns() // 1_000_000 - age_ms
        payload = Command(id_, name, now, now + 20_000).encode()
        store.client.publish(topic.format(name), payload, 1, retain)

    send("close-shop", "close-001")
    until(lambda: ears.heard("command", name="close-shop"), 10)
    board.show_pass(board.issue())
    until(lambda: ears.heard("refused", why="shop-closed"), 10)
    send("open-shop", "close-001")
    until(lambda: ears.heard("command-refused", why="repeated"), 10)
    send("open-shop", "open-late", age_ms=30_000)
    until(lambda: ears.heard("command-refused", why="late"), 10)
    # Left on the broker: it must not open a door at the next reboot.
    board.stop()
    send("open", "open-kept", retain=True)
    board.start()
    until(lambda: ears.heard("command-refused", why="retained"), 20)
    assert not board.released()
    # The shop was closed before the restart, and still is.
    board.show_pass(board.issue())
    until(lambda: len([e for e in list(ears.live) if e.get("why") == "shop-closed"]) == 2, 20)
    send("open", "open-0001")
    until(board.released, 10)
    store.close()


def test_two_gates_grant_one_use(make: Make, shop: StoreProcess, ears: Ears) -> None:
    one, two = make(name="entry-1").start(), make(name="entry-2").start()
    shop.connected()
    for name in ("entry-1", "entry-2"):
        until(lambda name=name: ears.get(f"tallygate/1/demo/{name}/state").get("online"), 20)
    issued = one.issue()
    text = issued.shown_at(time.time())
    one.show(text)
    two.show(text)
    until(lambda: ears.heard("opened") and ears.heard("refused", why="used"), 20, one.log() + two.log())
    until(lambda: "Refused" in kinds(shop) + kinds(shop, "entry-2"), 20)
    assert (kinds(shop) + kinds(shop, "entry-2")).count("Admitted") == 1


def test_two_gates_without_a_link_are_told_apart_when_they_meet(
    make: Make, tmp_path: Path, own_broker: Mosquitto
) -> None:
    one, two = make(name="entry-1").start(), make(name="entry-2").start()
    own_broker.kill()
    until(lambda: "link lost" in one.log() and "link lost" in two.log(), 20)
    issued = one.issue()
    for board in (one, two):
        board.admit(issued)
        board.world.ask(walk={"people": 1})
    own_broker.start()
    with StoreProcess(tmp_path / "store", own_broker.port) as store:
        until(lambda: kinds(store) and "Admitted" in kinds(store) + kinds(store, "entry-2"), 60)
        until(lambda: (kinds(store) + kinds(store, "entry-2")).count("Admitted") == 2, 60)
        found = [r for r in records(store) + records(store, "entry-2") if isinstance(r, Admitted)]
        assert all(record.offline for record in found)
        until(lambda: "double_entry" in _status(store), 20, _status(store))


def _status(store: StoreProcess) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "store", "status", "--db", f"sqlite:///{store.ledger}", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + json.dumps(done.stderr)


def test_fire_is_told_and_people_get_out(make: Make, shop: StoreProcess) -> None:
    board = make().start()
    board.world.ask(fire=True)
    until(board.released, 10)
    until(lambda: any(isinstance(r, Alarm) and r.kind == "fire" for r in records(shop)), 20)


def test_bad_files_and_arguments_end_with_two(tmp_path: Path) -> None:
    for arguments in (["run", str(tmp_path / "none.toml")], ["run"], ["jump"]):
        done = subprocess.run(
            [sys.executable, "-m", "firmware", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "error: " in done.stderr


def test_a_second_board_on_the_same_data_is_refused_and_the_first_goes_on(make: Make, tmp_path: Path) -> None:
    board = make().start()
    second = tmp_path / "second" / "board.toml"
    second.parent.mkdir()
    second.write_bytes(board.file.read_bytes())
    second.with_name("site.toml").write_bytes(board.file.with_name("site.toml").read_bytes())

    def start() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "firmware", "run", str(second)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    ended = start()
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "another board program runs on" in ended.stderr
    board.admit()

    nowhere = second.with_name("site.toml")
    nowhere.write_text(nowhere.read_text().replace(str(board.data), "/proc/nowhere"))
    ended = start()
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "the folder /proc/nowhere cannot be used" in ended.stderr


def test_a_lost_journal_does_not_grant_a_used_pass_again(make: Make, shop: StoreProcess, ears: Ears) -> None:
    board = make().start()
    used = "tallygate/1/demo/store/used/entry-1"
    issued = board.admit()
    board.world.ask(walk={"people": 1})
    until(lambda: issued.fields.visit in ears.last.get(used, b""), 20, "the used pass to be shown")
    board.kill()
    for path in board.data.glob("journal.sqlite*"):
        path.unlink()
    board.start()
    until(lambda: "known from the broker" in board.log(), 20, board.log()[-2000:])
    board.show_pass(issued)
    until(lambda: ears.heard("refused", why="used"), 20, board.log()[-2000:])
    until(lambda: issued.fields.visit in ears.last.get(used, b""), 20)
    board.admit()


def test_a_cloned_card_is_told(make: Make, ears: Ears, tmp_path: Path, own_broker: Mosquitto) -> None:
    board = make().start()
    state = "tallygate/1/demo/entry-1/state"
    until(lambda: ears.get(state).get("online"), 20)
    twin = BoardProcess(tmp_path / "twin", own_broker.port).start()
    try:
        until(
            lambda: (
                "identity" in board.log() + twin.log()
                or any(f["part"] == "identity" for f in ears.get(state).get("faults", []))
            ),
            40,
            board.log()[-1500:] + twin.log()[-1500:],
        )
    finally:
        twin.close()
