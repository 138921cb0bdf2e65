"""Random faults for the tag reader in stepped time, shared by the short and the long runs."""

from __future__ import annotations

import random
from dataclasses import dataclass

from firmware.loop import SteppedLoop
from hal.ports import DeviceBack, DeviceLost, Event, TagRead
from hal.reader.serial_reader import SerialReader
from hal.sim.yrm100 import Faults, InlineLine, Module

EPC = bytes.fromhex("E28068900000500E88C6A4A7")


@dataclass
class Radio:
    baud: int = 115200
    region: str = "eu"
    power_dbm: float = 20.0


def abuse(seed: int, actions: int) -> dict[str, int]:
    """``actions`` random things happen to one module; returns the driver's counters."""
    rng = random.Random(seed)
    loop = SteppedLoop()
    module = Module(header=rng.choice([0xBB, 0xAA]))
    line = InlineLine(module, loop)
    reader = SerialReader("sim", Radio(), loop, line=line)
    events: list[Event] = []
    reader.start(events.append)
    wanted = False
    for _ in range(actions):
        match rng.randrange(9):
            case 0:
                wanted = True
                reader.begin()
            case 1:
                wanted = False
                reader.end()
            case 2:
                line.plug(rng.random() < 0.5)
            case 3:
                module.faults = Faults(mute=rng.random() < 0.5, seed=rng.randrange(99))
            case 4:
                share = rng.choice([0.0, 0.001, 0.05, 0.5])
                module.faults = Faults(drop=share, flip=share)
            case 5:
                module.power_cycle()
            case 6:
                module.rounds_left = 0
            case 7:
                module.tags = [EPC] if rng.random() < 0.5 else []
            case 8:
                line.write(rng.randbytes(rng.randrange(20)))
        before = len(events)
        loop.advance(rng.choice([0.0, 0.01, 0.1, 1.0, 5.0]))
        if not wanted:
            assert not [one for one in events[before:] if isinstance(one, TagRead)]
    module.faults = Faults()
    module.tags = [EPC]
    line.plug(True)
    reader.begin()
    events_before = len(events)
    loop.advance(60)
    last = [one for one in events[events_before:] if isinstance(one, TagRead)]
    assert last, "it does not read any more"
    assert last[-1].epc == EPC
    assert last[-1].at > loop.time() - 1
    turns = [type(one) for one in events if isinstance(one, DeviceLost | DeviceBack)]
    assert turns == [DeviceLost, DeviceBack] * (len(turns) // 2)
    assert (module.region, module.power) == (0x03, 2000)
    reader.close()
    loop.close()
    return reader.stats()
