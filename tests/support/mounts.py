"""How a test gets mounts of its own, gone with the process: as root by itself, else in a user namespace."""

from __future__ import annotations

import os

OWN_MOUNTS = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
"""Put before a command. Root needs no user namespace, and inside a chroot it could not make one."""
