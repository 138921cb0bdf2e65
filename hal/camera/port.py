"""The camera port: what every camera driver gives, and how one is chosen.

Drivers run only in the camera child process (``hal.vision.child``), never where the gate's outputs
live.  This module imports neither numpy nor a device library, so the loop process may import it for
``CameraSettings``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Gray: TypeAlias = NDArray[np.uint8]
else:
    Gray = object  # so that drivers may import the name while this module needs no numpy

DRIVERS = {
    "simulated": "hal.camera.simulated",
    "pictures": "hal.camera.pictures",
    "v4l2": "hal.camera.v4l2",
    "pi": "hal.camera.pi",
}
"""Driver name -> module. Each module has ``build(settings: CameraSettings, note: Note) -> Camera``."""

Note: TypeAlias = Callable[[str, str], None]
"""(counter name as shown in health, detail): a condition that is not a loss, e.g. a restarted stream."""


class CameraLost(Exception):
    """The camera cannot give frames any more (or never could). ``check`` says what to look at."""

    def __init__(self, reason: str, check: str) -> None:
        super().__init__(f"{reason}; check: {check}")
        self.reason = reason
        self.check = check


@dataclass(frozen=True, slots=True)
class Frame:
    """One gray picture: ``gray`` is 2-D uint8 (rows, columns), C-contiguous, 0 = black.

    ``at`` is monotonic seconds when the frame was handed over by the device; ``seq`` counts frames
    from 1 and never goes back while the camera is open.
    """

    gray: Gray
    at: float
    seq: int


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a board file says about its camera. A driver reads what it knows and ignores the rest.

    ``device``: "/dev/video0" for v4l2, the camera's number as text for pi. ``scene``: path of the
    picture file that the simulated camera looks at. ``inbox``: folder watched for dropped pictures
    (pictures, simulated). ``options``: a driver's own numbers, such as ``lens_position``.
    """

    driver: str
    width: int = 640
    height: int = 480
    fps: float = 15.0
    device: str = ""
    scene: str = ""
    inbox: str = ""
    options: dict[str, float] = {}


class Camera(Protocol):
    """A device that yields gray frames. Used by one thread."""

    def open(self) -> None:
        """Claim the device. Raises CameraLost."""

    def frame(self, wait_s: float) -> Frame | None:
        """The newest frame that was not given yet, or None when none came within ``wait_s``.

        Frames that were missed meanwhile are dropped, never queued. Raises CameraLost.
        """

    def close(self) -> None:
        """Release the device. Idempotent, never raises."""


def build(settings: CameraSettings, note: Note) -> Camera:
    """The driver named by ``settings.driver``, not opened yet. Raises CameraLost for an unknown name
    or a driver whose library is not installed."""
    try:
        module = importlib.import_module(DRIVERS[settings.driver])
    except KeyError:
        known = ", ".join(sorted(DRIVERS))
        raise CameraLost(f"no camera driver is called {settings.driver!r}", f"use one of {known}") from None
    except ImportError as error:
        raise CameraLost(
            f"the camera driver {settings.driver!r} cannot be loaded: {error}",
            "is its package installed in this environment",
        ) from error
    camera: Camera = module.build(settings, note)
    return camera
