"""Which controls make a Raspberry Pi camera see phone screens, and of which a given sensor has any. Pure.

A phone is a bright emitter close to the lens in a darker room, held by a hand that moves: near focus,
short exposure, nothing blown out, no banding of lamps. Derived from the Pi tuning files' ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXPOSURE_VALUE = -0.5
"""Stops. The screen is brighter than what surrounds it; its white must not bleed into the modules."""


def phone_controls(
    offered: Mapping[str, tuple[Any, Any, Any]], enums: Any, *, fps: float, options: Mapping[str, float]
) -> dict[str, Any]:
    """Values for the controls among ``offered`` (name -> minimum, maximum, default); never any other name,
    since setting one that a camera lacks is an error (the V1 and V2 modules have no autofocus).

    ``enums``: ``libcamera.controls``. ``options``: ``mains_hz`` (50 or 60) and, for a fixed focus,
    ``lens_position`` in dioptres. ``fps``: frames per second.
    """
    wanted: dict[str, Any] = {
        "AeExposureMode": _enum(enums, "AeExposureModeEnum", "Short"),
        "AeConstraintMode": _enum(enums, "AeConstraintModeEnum", "Highlight"),
        "AeMeteringMode": _enum(enums, "AeMeteringModeEnum", "Spot"),
        "ExposureValue": EXPOSURE_VALUE,
    }
    if "lens_position" in options:
        lens = _clip(offered.get("LensPosition"), options["lens_position"])
        wanted |= {"AfMode": _enum(enums, "AfModeEnum", "Manual"), "LensPosition": lens}
    else:
        wanted |= {
            "AfMode": _enum(enums, "AfModeEnum", "Continuous"),
            "AfRange": _enum(enums, "AfRangeEnum", "Macro"),
            "AfSpeed": _enum(enums, "AfSpeedEnum", "Fast"),
        }
    mains_hz = options.get("mains_hz", 0.0)
    if mains_hz > 0 and "AeFlickerPeriod" in offered:
        # A lamp flickers twice a period of the mains; the control counts microseconds.
        wanted |= {
            "AeFlickerMode": _enum(enums, "AeFlickerModeEnum", "Manual"),
            "AeFlickerPeriod": round(1_000_000 / (2 * mains_hz)),
        }
    duration = int(_clip(offered.get("FrameDurationLimits"), round(1_000_000 / fps)))
    wanted["FrameDurationLimits"] = (duration, duration)
    return {name: value for name, value in wanted.items() if name in offered and value is not None}


def _enum(enums: Any, name: str, member: str) -> Any:
    """None where this libcamera is older than the control."""
    return getattr(getattr(enums, name, None), member, None)


def _clip(limits: tuple[Any, Any, Any] | None, value: float) -> float:
    if limits is None:
        return value
    low, high = limits[0], limits[1]
    return max(low, min(high, value)) if low is not None and high is not None and low <= high else value
