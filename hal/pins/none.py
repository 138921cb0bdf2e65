"""No lines at all: a board that only reads tags and shows prices. Never touches a pin."""

from __future__ import annotations

from hal.ports import Post


class NoPins:
    """``hal.ports.Pins`` without inputs and outputs."""

    factory = None

    def start(self, post: Post) -> None:
        pass

    def read(self) -> dict[str, bool]:
        return {}

    def set(self, name: str, active: bool) -> None:
        raise ValueError(f"this board has no output {name!r}")

    def renew(self) -> None:
        pass

    def outputs(self) -> dict[str, bool]:
        return {}

    def safe(self) -> None:
        pass

    def close(self) -> None:
        pass
