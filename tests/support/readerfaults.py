"""Random faults for a tag reader in stepped time, shared by the short and the long runs."""

from __future__ import annotations

import random

from hal.ports import DeviceBack, DeviceLost, TagRead
from hal.sim.wire import Wire
from tests.support.readers import Rig, spec

EPC = bytes.fromhex("E28068900000500E88C6A4A7")


def abuse(protocol: str, seed: int, actions: int) -> dict[str, int]:
    """``actions`` random things happen to one module; returns the driver's counters.

    Afterwards it must read the tag that is there, with its settings in the module."""
    rng = random.Random(seed)
    one = spec(protocol)
    variant = rng.choice(["", *one.variants])
    # Not every module of a protocol can take inventory in every way.
    rig = Rig(protocol, variant=variant, inventory="" if variant else rng.choice(one.inventories))
    carrier, reader = rig.carrier, rig.reader
    reader.start(rig.events.append)
    wanted = False
    for _ in range(actions):
        share = rng.choice([0.0, 0.001, 0.05, 0.5])
        match rng.randrange(10):
            case 0:
                wanted = True
                reader.begin()
            case 1:
                wanted = False
                reader.end()
            case 2:
                carrier.plug(rng.random() < 0.5)
            case 3:
                carrier.wire = Wire(mute=rng.random() < 0.5, deaf=rng.random() < 0.3, seed=rng.randrange(99))
            case 4:
                carrier.wire = Wire(drop=share, flip=share, junk=share, seed=rng.randrange(99))
            case 5:
                carrier.brown_out(in_frame=rng.random() < 0.5)
            case 6:
                carrier.wire = Wire(
                    split=rng.random() < 0.5, burst=rng.random() < 0.5, wrong_baud=rng.random() < 0.3
                )
            case 7:
                carrier.present([EPC] if rng.random() < 0.5 else [])
            case 8:
                carrier.send(rng.randbytes(rng.randrange(300)))
            case 9 if one.conditions:
                rng.choice(list(one.conditions.values()))(rig.module, rng.random() < 0.5)
        before = len(rig.events)
        rig.run(rng.choice([0.0, 0.01, 0.1, 1.0, 5.0]))
        if not wanted:
            assert not [event for event in rig.events[before:] if isinstance(event, TagRead)]
    carrier.wire = Wire()
    for switch in one.conditions.values():
        switch(rig.module, False)
    carrier.present([EPC])
    carrier.plug(True)
    reader.begin()
    reads = len(rig.of(TagRead))
    rig.until(lambda: len(rig.of(TagRead)) > reads and rig.stored, 45)
    rig.run(6)
    last = rig.of(TagRead)[-1]
    assert last.epc == EPC
    assert last.at > rig.loop.time() - 3, "it does not read any more"
    turns = [type(event) for event in rig.events if isinstance(event, DeviceLost | DeviceBack)]
    assert turns == [DeviceLost, DeviceBack] * (len(turns) // 2)
    assert rig.stored
    rig.close()
    return reader.stats()
