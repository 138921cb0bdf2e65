"""No display: lamp and buzzer are all that a shopper gets."""

from __future__ import annotations

from hal.ports import Screen


class NoDisplay:
    """Keeps the last screen, so that a simulated board can be asked what it would show."""

    def __init__(self) -> None:
        self.screen: Screen | None = None

    def show(self, screen: Screen) -> None:
        self.screen = screen

    def close(self) -> None:
        self.screen = None
