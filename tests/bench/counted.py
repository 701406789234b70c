"""The part of instructions.py that runs inside valgrind: `counted.py SWITCH CAPTURE...`.

Each capture goes through an engine made as a replay makes it, without consumers; callgrind counts
while the engine is in feed(), and dumps its counts after each capture.
"""

import os
import sys
from contextlib import closing
from ctypes import CDLL
from pathlib import Path

import sensor._native

if os.environ.get("NATIVE"):  # modules built for a profile go first
    sensor._native.__path__.insert(0, os.environ["NATIVE"])

from sensor._native.engine import Engine
from sensor._native.source import PacketSource
from sensor.capture.savefile import open_savefile
from sensor.flow.meter import Meter
from sensor.flow.quic_initial import server_name
from sensor.programs.replay import SECRET, learn_local


def count(switch: CDLL, capture: str) -> None:
    class Counted(Engine):
        def feed(self, source: PacketSource) -> int:
            switch.toggle()
            try:
                return super().feed(source)
            finally:
                switch.toggle()

    local = learn_local([capture], {})
    engine = Counted(
        local=list(local.prefixes), secret=SECRET, features=True, server_name=server_name
    )
    meter = Meter(engine, ())
    with closing(open_savefile(capture)) as source:
        while meter.read(source):
            meter.feed(source)
    switch.dump(Path(capture).name.encode())


if __name__ == "__main__":
    switch = CDLL(sys.argv[1])
    switch.begin()
    for capture in sys.argv[2:]:
        count(switch, capture)
