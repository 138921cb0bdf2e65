"""provisioning/install.sh without a Pi. Every call here is a dry run or has a fake root."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware.boardfile import load, load_site

TREE = Path(__file__).resolve().parents[2]
SCRIPT = TREE / "provisioning" / "install.sh"
KEY = "ab" * 32


def install(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("gate-pi6",),
        ("gate-pi5", "gate-pi4"),
        ("gate-pi5", "--bogus"),
        ("gate-pi5", "--id"),
        ("gate-pi5", "--id", "--store"),
        ("gate-pi5", "--id", "Entry 1"),
        ("gate-pi5", "--id", "store"),
        ("gate-pi5", "--store", "a;reboot"),
        ("gate-pi5", "--broker", "nowhere"),
        ("gate-pi5", "--broker", "a b:1;reboot"),
        ("gate-pi5", "--broker", "10.0.0.2:8883"),
        ("gate-pi5", "--pass-key", "1=abc"),
        ("gate-pi5", "--ca", "/nonexistent"),
        ("gate-pi5", "--root", "/tmp/unused"),
    ],
    ids=" ".join,
)
def test_bad_arguments_touch_nothing(arguments: tuple[str, ...]) -> None:
    done = install("--dry-run", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "would run" not in done.stderr


def test_dry_run_changes_nothing_and_names_every_step(tmp_path: Path) -> None:
    done = install("gate-pi5", "--dry-run", "--pass-key", f"1={KEY}")
    assert done.returncode == 0, done.stderr
    for words in (
        "apt-get install",
        "python3-picamera2",
        "venv --system-site-packages",
        "[pi,zbar]",
        "would write: /etc/tallygate/gate-pi5.toml",
        "firmware selftest",
        "systemctl enable tallygate-board@gate-pi5.service",
    ):
        assert words in done.stdout
    assert not Path("/etc/tallygate").exists()


def test_fake_root_gets_files_the_board_accepts_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "boot" / "firmware" / "config.txt"
    config.parent.mkdir(parents=True)
    config.write_text("dtparam=audio=on\n")
    arguments = ("gate-zero2w", "--root", str(tmp_path), "--id", "entry-2", "--pass-key", f"7={KEY}")
    done = install(*arguments)
    assert done.returncode == 0, done.stderr
    assert "REBOOT" in done.stdout
    etc = tmp_path / "etc" / "tallygate"
    site = load_site(etc / "site.toml")
    assert (site.store, site.board, site.pass_keys) == ("demo", "entry-2", {"7": KEY})
    assert load(etc / "gate-zero2w.toml").board.model == "zero2w"
    assert "zbar" not in done.stdout
    assert config.read_text().startswith("dtparam=audio=on\n")
    assert config.read_text().rstrip().endswith("[all]\ndtparam=strict_gpiod")
    again = install(*arguments)
    assert again.returncode == 0
    assert "Nothing had changed." in again.stdout
    assert "REBOOT" not in again.stdout
    assert config.read_text().count("strict_gpiod") == 1
    # a technician's change is kept beside the new file
    (etc / "gate-zero2w.toml").write_text("# mine\n")
    assert "wrote" in install(*arguments).stdout
    assert (etc / "gate-zero2w.toml.before").read_text() == "# mine\n"


def test_a_portal_gets_its_parts_and_a_name_of_its_own(tmp_path: Path) -> None:
    done = install("portal-pi5-m7e", "--root", str(tmp_path), "--pass-key", f"7={KEY}")
    assert done.returncode == 0, done.stderr
    etc = tmp_path / "etc" / "tallygate"
    assert load_site(etc / "site.toml").board == "portal-1"
    assert load(etc / "portal-pi5-m7e.toml").board.role == "portal"
    for words in ("python3-picamera2 python3-lgpio python3-pil", "/opt/tallygate/src[pi,display]"):
        assert words in done.stdout
    assert "-G dialout -G video" in done.stdout
    assert "zbar" not in done.stdout


def test_a_price_point_gets_its_serial_port_and_no_pins_or_camera(tmp_path: Path) -> None:
    boot = tmp_path / "boot" / "firmware"
    boot.mkdir(parents=True)
    config, cmdline = boot / "config.txt", boot / "cmdline.txt"
    config.write_text("enable_uart=1\n")
    cmdline.write_text("console=serial0,115200 console=tty1 root=PARTUUID=1-02 rootwait\n")
    arguments = ("pricepoint-zero2w-r200", "--root", str(tmp_path), "--pass-key", f"7={KEY}")
    done = install(*arguments)
    assert done.returncode == 0, done.stderr
    etc = tmp_path / "etc" / "tallygate"
    assert load_site(etc / "site.toml").board == "price-1"
    assert load(etc / "pricepoint-zero2w-r200.toml").board.role == "pricepoint"
    assert "python3-venv python3-numpy python3-pil" in done.stdout
    assert "/opt/tallygate/src[display]" in done.stdout
    assert "lgpio" not in done.stdout
    assert config.read_text().splitlines()[-2:] == ["[all]", "dtoverlay=disable-bt"]
    assert "strict_gpiod" not in config.read_text()
    assert cmdline.read_text() == "console=tty1 root=PARTUUID=1-02 rootwait\n"
    assert "REBOOT once before people use it: dtoverlay=disable-bt, no console" in done.stdout
    again = install(*arguments)
    assert "Nothing had changed." in again.stdout
    assert "REBOOT" not in again.stdout


def test_unit_has_what_the_contract_asks(tmp_path: Path) -> None:
    install("gate-pi4", "--root", str(tmp_path), "--pass-key", f"1={KEY}")
    unit = tmp_path / "etc" / "systemd" / "system" / "tallygate-board@.service"
    text = unit.read_text()
    for line in (
        "Type=notify",
        "WatchdogSec=3",
        "WatchdogSignal=SIGKILL",
        "KillMode=control-group",
        "ExecStart=/opt/tallygate/venv/bin/python -m firmware run /etc/tallygate/%i.toml",
        "ExecStopPost=/opt/tallygate/venv/bin/python -m firmware safe /etc/tallygate/%i.toml",
        "Restart=always",
        "RuntimeDirectory=tallygate",
        "WorkingDirectory=/run/tallygate",
        "StateDirectory=tallygate",
        "DevicePolicy=closed",
    ):
        assert f"\n{line}\n" in text, line
    assert "@PREFIX@" not in text
    if shutil.which("systemd-analyze") is None:
        return  # its syntax is checked where systemd is
    checked = tmp_path / "tallygate-board@gate-pi4.service"
    checked.write_text(text.replace("/opt/tallygate/venv/bin/python", shutil.which("env") or "/usr/bin/env"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(checked)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    score = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(checked)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"exposure level.*: ([0-9.]+)", score.stdout)
    assert found is not None
    assert float(found[1]) <= 2.5


def test_ssh_names_what_it_would_do_there() -> None:
    done = install("gate-pi5", "--ssh", "pi@gate.local", "--dry-run", "--pass-key", f"1={KEY}")
    assert done.returncode == 0, done.stderr
    remote = "provisioning/install.sh gate-pi5 --store demo --id entry-1 --broker 127.0.0.1:1883"
    assert f"{remote} --pass-key 1={KEY}" in done.stdout
