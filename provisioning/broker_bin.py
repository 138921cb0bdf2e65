"""Find a mosquitto to run as a child: from PATH, else Debian's packages unpacked privately, else installed.

Must never start a service on this machine: unpacked packages run no scripts, and an installation as root
happens under a policy that forbids starting daemons. ``python -m provisioning.broker_bin`` prints its path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_DIRS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin")
"""Where brokers live that are often not in a user's PATH."""

_APT_S = 180.0


class BrokerMissing(Exception):
    """No mosquitto here and none could be had. The message says what to do."""


@dataclass(frozen=True, slots=True)
class BrokerProgram:
    """A mosquitto that was seen to start. ``env`` is to be added to its environment."""

    path: str
    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The complete environment for the child."""
        return {**os.environ, **self.env}


def private_root() -> Path:
    """The folder for unpacked packages: inside the environment that runs this."""
    return Path(sys.prefix) / "share" / "tallygate-mosquitto"


def find(root: Path | None = None, search: str | None = None) -> BrokerProgram | None:
    """A mosquitto that is already here, or None. ``search``: a PATH to look in instead of the process's."""
    path = os.environ.get("PATH", "") if search is None else search
    if search is None:
        path = os.pathsep.join((path, *SYSTEM_DIRS))
    found = shutil.which("mosquitto", path=path)
    if found and _starts(BrokerProgram(found)):
        return BrokerProgram(found)
    unpacked = _unpacked(root or private_root())
    return unpacked if unpacked and _starts(unpacked) else None


def ensure(root: Path | None = None) -> BrokerProgram:
    """A mosquitto, unpacked or installed when needed. Raises BrokerMissing with what to do."""
    found = find(root)
    if found:
        return found
    print("mosquitto is not on this machine: unpacking Debian's package privately ...", file=sys.stderr)
    target = root or private_root()
    try:
        unpacked = unpack(target)
        if _starts(unpacked):
            return unpacked
        reason = f"the unpacked {unpacked.path} does not start"
    except BrokerMissing as error:
        reason = str(error)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"{reason}; installing the package (no daemon is started) ...", file=sys.stderr)
        _install()
        found = find(root)
        if found:
            return found
    raise BrokerMissing(
        f"mosquitto is needed as the local broker and could not be had here ({reason}): "
        "install it with  sudo apt-get install mosquitto  (or brew install mosquitto) and try again"
    )


def unpack(root: Path) -> BrokerProgram:
    """Download mosquitto and the libraries this system lacks and unpack them under ``root``.

    Runs no package script and needs no root. Raises BrokerMissing.
    """
    for tool in ("apt-get", "apt-cache", "dpkg-deb", "dpkg-query"):
        if not shutil.which(tool):
            raise BrokerMissing(f"{tool} is not here to fetch Debian's package")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as work:
        options = _apt_options(Path(work))
        names = ["mosquitto", *_missing_libraries("mosquitto", options)]
        debs = Path(work) / "debs"
        debs.mkdir()
        # apt's own sandbox user cannot write into our folder; it would only warn, so switch it off
        _apt(["apt-get", *options, "-o", "APT::Sandbox::User=", "download", *names], cwd=debs)
        tree = Path(work) / "tree"
        for deb in sorted(debs.glob("*.deb")):
            _apt(["dpkg-deb", "-x", str(deb), str(tree)])
        shutil.rmtree(root, ignore_errors=True)
        tree.rename(root)
    unpacked = _unpacked(root)
    if unpacked is None:
        raise BrokerMissing(f"Debian's package held no usr/sbin/mosquitto (unpacked in {root})")
    return unpacked


def _unpacked(root: Path) -> BrokerProgram | None:
    program = root / "usr" / "sbin" / "mosquitto"
    if not program.is_file():
        return None
    folders = sorted({str(lib.parent) for lib in root.glob("**/*.so.*")})
    return BrokerProgram(str(program), {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {})


def _starts(program: BrokerProgram) -> bool:
    """True when it runs at all (all libraries found). ``-h`` prints the version and exits."""
    try:
        done = subprocess.run(
            [program.path, "-h"], env=program.environment(), capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return "mosquitto version" in done.stdout


def _apt_options(work: Path) -> list[str]:
    """Options for apt: none when the system's package lists know mosquitto, else private fresh lists."""
    if re.search(r"Candidate: \d", _apt(["apt-cache", "policy", "mosquitto"])):
        return []
    lists, cache = work / "lists", work / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User="]
    _apt(["apt-get", *options, "update", "-qq"])
    return options


def _missing_libraries(package: str, options: list[str]) -> list[str]:
    """The library packages that ``package`` needs, directly or not, and that are not installed."""
    missing: list[str] = []
    queue, seen = [package], {package}
    while queue:
        listing = _apt(["apt-cache", *options, "depends", "--important", queue.pop()])
        for name in re.findall(r"^ *\|?(?:Pre)?Depends: (lib[a-z0-9.+-]+)$", listing, re.MULTILINE):
            if name not in seen:
                seen.add(name)
                if not _installed(name):
                    missing.append(name)
                    queue.append(name)
    return missing


def _installed(package: str) -> bool:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True, timeout=30
    )
    return done.returncode == 0 and "installed" in done.stdout.split()


def _install() -> None:
    """apt-get install without starting anything: policy-rc.d answers 101 (forbidden) while we work."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        _apt(["apt-get", "update", "-qq"])
        _apt(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mosquitto"])
    except BrokerMissing as error:
        print(error, file=sys.stderr)
    finally:
        if ours:
            policy.unlink(missing_ok=True)


def _apt(command: list[str], cwd: Path | None = None) -> str:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=_APT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokerMissing(f"{command[0]} did not run: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BrokerMissing(f"{' '.join(command[:1] + command[-2:])} failed: {last}")
    return done.stdout


def main() -> int:
    """Print the broker's path (fetching it first where needed)."""
    try:
        print(ensure().path)
    except BrokerMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
