"""The daemon on libpcap instead of the kernel's ring."""

import os
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

from tests.live.namespaces import Net, run, two_namespaces
from tests.live.test_run import FRAMES, daemon, send, until

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
]
RECEIVED = "SELECT coalesce(sum(received), 0) FROM capture_health"


@pytest.fixture
def net() -> Iterator[Net]:
    with two_namespaces() as made:
        yield made


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, ...]:
    settings = tmp_path / "sensor.toml"
    settings.write_text('[capture]\nmethod = "libpcap"\nfilter = "udp port 9"\nwindow_s = 1\n')
    return "--config", str(settings)


def test_every_frame_is_received_or_counted_as_dropped(
    net: Net, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with daemon(net, tmp_path / "s.db", *options) as live:
        send(net, FRAMES)
        assert live.stop() < 2
    ((received, dropped),) = live.ask("SELECT sum(received), sum(dropped) FROM capture_health")
    assert received + dropped == FRAMES
    assert live.ask("SELECT sum(packets_in) FROM bandwidth_seconds") == [(received,)]


def test_an_interface_may_go_down_but_not_be_another(
    net: Net, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with daemon(net, tmp_path / "s.db", *options) as live:
        send(net, 10)
        until(lambda: live.ask(RECEIVED) == [(10,)])
        run("ip", "-n", net.host, "link", "set", "eth0", "down")
        sleep(0.5)  # seen to be down
        run("ip", "-n", net.host, "link", "set", "eth0", "up")
        sleep(2)  # what is promised
        send(net, 10)
        until(lambda: live.ask(RECEIVED) == [(20,)])
        assert live.ask("SELECT sum(interface_gaps) FROM capture_health") == [(1,)]
        run("ip", "-n", net.host, "link", "del", "eth0")
        run("ip", "-n", net.host, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns",
            net.world)  # fmt: skip
        assert live.process.wait(10) == 1
        until(lambda: any("libpcap needs a restart" in line for line in live.told))
