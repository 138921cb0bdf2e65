"""Does this Raspberry Pi let go of its outputs when a process dies? Reads files only.

Raspberry Pi kernels keep the GPIO outputs of a dead process driven unless ``strict_gpiod`` is set: a
program that is killed would leave the lock's relay as it was. Must never raise and never write.
"""

from __future__ import annotations

from pathlib import Path

CURE = "add the line dtparam=strict_gpiod to /boot/firmware/config.txt and reboot"


def strict_gpiod_warning(root: Path = Path("/")) -> str | None:
    """None where a dead process's outputs fall to their pulls (or this is no Pi); else what to do.

    The running driver's parameter is the truth; the kernel command line (where the firmware puts
    ``dtparam=strict_gpiod``) is used when the parameter cannot be read.
    """
    if "Raspberry Pi" not in _text(root / "proc/device-tree/model"):
        return None
    # The header's pins belong to the RP1 on a Pi 5 and to the SoC itself on every earlier board.
    rp1 = "brcm,bcm2712" in _text(root / "proc/device-tree/compatible")
    module = "pinctrl_rp1" if rp1 else "pinctrl_bcm2835"
    value = _text(root / f"sys/module/{module}/parameters/persist_gpio_outputs").strip()
    if not value:
        key = f"{module}.persist_gpio_outputs="
        words = [word.removeprefix(key) for word in _text(root / "proc/cmdline").split() if key in word]
        value = words[-1] if words else ""
    if value[:1] in ("N", "n", "0"):
        return None
    if not value:
        return (
            f"cannot tell whether GPIO outputs fall back when the program dies "
            f"(no {module} parameter): {CURE}"
        )
    return f"GPIO outputs stay driven when the program dies ({module}.persist_gpio_outputs={value}): {CURE}"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
