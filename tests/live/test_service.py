"""The shipped units under a real, booted systemd: privileges, reload, crashes, watchdog, stop."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import pytest

from tests.fleet.servers import postgres_bin
from tests.live.machine import Machine, booted, missing, until
from tests.live.namespaces import ROOT, Net, two_namespaces

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]
UNIT = "sensor-capture"
SETTINGS = """
[capture]
interfaces = ["eth0"]
window_s = 1
filter = "udp port 9"
"""
# Frames at a steady rate, and how many: "count rate".
SEND = """
import socket, struct, sys, time
count, rate = int(sys.argv[1]), float(sys.argv[2])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("eth0", 0))
start = time.monotonic()
for i in range(count):
    udp = struct.pack("!HHHH4s", 5000, 9, 12, 0, b"data")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, i & 0xffff, 0, 64, 17, 0,
                     bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]))
    s.send(b"\\xff" * 6 + b"\\x02" * 6 + b"\\x08\\x00" + ip + udp)
    time.sleep(max(0, start + (i + 1) / rate - time.monotonic()))
"""
EXPOSURE = {"sensor-capture": 15, "sensor-ship": 10, "sensor-api": 10, "sensor-respond": 11}


class Service:
    """The machine with its capture unit."""

    def __init__(self, machine: Machine, net: Net, root: Path) -> None:
        self.machine = machine
        self.net = net
        self.etc = root / "etc/sensor/sensor.toml"
        self.db = root / "var/lib/sensor/sensor.db"

    def sending(self, count: int, rate: float) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-c", SEND, str(count), str(rate)]
        return subprocess.Popen(["ip", "netns", "exec", self.net.world, *words])

    def received(self) -> int:
        """Packets in the database, dropped ones too."""
        sql = "SELECT coalesce(sum(received + dropped), 0) FROM capture_health"
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as db:
            return int(db.execute(sql).fetchone()[0])

    def said(self, text: str) -> bool:
        return text in self.machine.log(UNIT)

    def restarts(self) -> int:
        return int(self.machine.show(UNIT, "NRestarts"))

    def is_active(self) -> bool:
        return self.machine.show(UNIT, "ActiveState") == "active"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with TemporaryDirectory(dir="/var/tmp") as folder, two_namespaces() as net:
        watchdog = "WatchdogSec=2"
        with booted(Path(folder), net.host, SETTINGS, sensor_capture=watchdog) as machine:
            machine.systemctl("start", UNIT)
            yield Service(machine, net, Path(folder) / "merged")
            machine.systemctl("stop", UNIT)


def test_it_has_no_privilege_once_it_runs(service: Service) -> None:
    status = service.machine.run("cat", f"/proc/{service.machine.main_pid(UNIT)}/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    assert found["Uid"].split()[0] != "0"
    told = service.machine.run("sensor", "status")
    assert "given up   landlock, no capabilities, seccomp" in told
    assert "eth0       up" in told
    assert (os.stat(service.db).st_mode & 0o777) == 0o640


def test_a_bad_reload_keeps_the_old_settings_and_a_good_one_is_in_force(service: Service) -> None:
    pid = service.machine.main_pid(UNIT)
    service.etc.write_text(SETTINGS.replace("filter", "fliter"))
    service.machine.systemctl("reload", UNIT)
    until(lambda: service.said("reload refused"))
    assert service.said("unknown key, perhaps `filter`")
    service.etc.write_text(SETTINGS.replace("udp port 9", "udp port 9 or udp port 10"))
    service.machine.systemctl("reload", UNIT)
    until(lambda: service.said("reloaded: "))
    service.etc.write_text(SETTINGS)
    service.machine.systemctl("reload", UNIT)
    assert service.machine.main_pid(UNIT) == pid


def test_no_packet_is_lost_or_counted_twice_by_kill_9(service: Service) -> None:
    count, kills = 4000, 8
    before, restarts = service.received(), service.restarts()
    with service.sending(count, 400) as sender:
        for number in range(kills):
            sleep(0.9)  # of traffic
            service.machine.run("kill", "-KILL", str(service.machine.main_pid(UNIT)))
            until(lambda n=number: service.restarts() == restarts + n + 1 and service.is_active())
        sender.wait()
    until(lambda: service.received() - before >= count, 10, str(service.received() - before))
    assert service.received() - before == count
    assert '"taken_over": true' in service.machine.run("cat", "/run/sensor/status.json")


def test_the_watchdog_ends_a_hang(service: Service) -> None:
    restarts = service.restarts()
    service.machine.run("kill", "-STOP", str(service.machine.main_pid(UNIT)))
    began = monotonic()
    until(lambda: service.restarts() == restarts + 1 and service.is_active(), 20)
    assert monotonic() - began < 2 + 4  # WatchdogSec, and the next start
    assert service.said("Watchdog timeout")


def test_stopping_writes_what_is_open_and_takes_two_seconds_at_most(service: Service) -> None:
    before = service.received()
    with service.sending(100, 1000) as sender:
        sender.wait()
    began = monotonic()
    service.machine.systemctl("stop", UNIT)
    assert monotonic() - began < 2
    assert service.received() - before == 100
    assert service.machine.show(UNIT, "Result") == "success"


def test_the_api_unit_reads_what_the_capture_unit_writes(service: Service) -> None:
    machine = service.machine
    machine.run("ip", "link", "set", "lo", "up")
    machine.systemctl("start", "sensor-capture", "sensor-api")
    token = machine.run("cat", "/var/lib/sensor-api/token").strip()

    def get(path: str) -> str:
        words = ["-sS", "-f", "-H", f"Authorization: Bearer {token}"]
        return machine.run("curl", *words, f"http://127.0.0.1:8765{path}")

    (agent,) = json.loads(get("/agents"))
    assert agent["source"] == "live"
    metrics = get(f"/analytics/network/{agent['agent_id']}/performance?timeframe=15m")
    assert json.loads(metrics)["health"]["received"] > 0
    assert "sensor_up 1" in get("/metrics")
    status = machine.run("cat", f"/proc/{machine.main_pid('sensor-api')}/status")
    assert "CapEff:\t0000000000000000" in status
    machine.systemctl("stop", "sensor-api")


@pytest.mark.skipif(postgres_bin() is None, reason="needs PostgreSQL")
def test_the_ship_unit_has_its_password_from_systemd(service: Service) -> None:
    """LoadCredential hands over what the unit's own user may not read, and nothing tells it."""
    machine, secret, folder = service.machine, token_hex(16), "/var/lib/central"
    server, client = f"{postgres_bin()}/", f"postgresql://sensor:{secret}@127.0.0.1:5999/postgres"
    machine.run("ip", "link", "set", "lo", "up")
    as_postgres = (
        f"install -d -o postgres {folder}; (umask 77; echo {secret} > {folder}/secret);"
        f" chown postgres {folder}/secret; runuser -u postgres --"
        f" {server}initdb -D {folder}/data -U sensor -A scram-sha-256 --pwfile={folder}/secret -N;"
        f" runuser -u postgres -- {server}pg_ctl -w -D {folder}/data -l {folder}/log"
        f" -o '-p 5999 -k {folder} -c fsync=off' start"
    )
    machine.run("sh", "-c", f"({as_postgres}) >/dev/null 2>&1")
    credentials = service.etc.with_name("ship.toml")
    credentials.write_text(f'to = ["{client}"]\n')
    credentials.chmod(0o600)
    try:
        machine.run("sensor", "store", "init", client)
        machine.systemctl("start", "sensor-ship")
        asked = f"PGPASSWORD={secret} {server}psql -h 127.0.0.1 -p 5999 -U sensor -At -c"
        sql = "SELECT coalesce(sum(received + dropped), 0) FROM capture_health"
        until(lambda: machine.run("sh", "-c", f"{asked} '{sql}' postgres").strip()
              == str(service.received()), 20)  # fmt: skip
        status = machine.run("cat", f"/proc/{machine.main_pid('sensor-ship')}/status")
        assert "CapEff:\t0000000000000000" in status
        with pytest.raises(RuntimeError, match="ermission denied"):
            machine.run("runuser", "-u", "sensor-ship", "--", "cat", "/etc/sensor/ship.toml")
        told = machine.run("ps", "axeww") + machine.log("sensor-ship")
        assert "sensor ship" in told
        assert secret not in told
    finally:
        machine.systemctl("stop", "sensor-ship")
        machine.run("runuser", "-u", "postgres", "--", f"{server}pg_ctl", "-D", f"{folder}/data",
                    "-m", "immediate", "stop")  # fmt: skip


@pytest.mark.parametrize("unit", sorted(EXPOSURE))
def test_units_are_right_and_expose_little(service: Service, unit: str) -> None:
    file = f"/etc/systemd/system/{unit}.service"
    said = service.machine.run("sh", "-c", f"systemd-analyze verify {file} 2>&1")
    assert unit not in said
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE[unit]}",
         str(ROOT / f"systemd/{unit}.service")],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
