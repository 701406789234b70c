"""The daemon on a disk that is full or gives back damaged pages."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.live.namespaces import Net, run, two_namespaces
from tests.live.test_run import Daemon, daemon, send, until

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces, loop mounts"),
]
OPTIONS = ("--window", "1", "--filter", "udp port 9")
RECEIVED = "SELECT coalesce(sum(received), 0) FROM capture_health"


@pytest.fixture
def net() -> Iterator[Net]:
    with two_namespaces() as made:
        yield made


@contextmanager
def disk(folder: Path, octets: int, block: int) -> Iterator[Path]:
    """A small ext4 file system of its own."""
    image, mounted = folder / "image", folder / "disk"
    with image.open("wb") as file:
        file.truncate(octets)
    mounted.mkdir()
    run("mkfs.ext4", "-q", "-m0", "-b", str(block), "-O", "^has_journal", str(image))
    device = run("losetup", "--find", "--show", str(image)).strip()
    run("blockdev", "--setrw", device)  # the last user's --setro stays with a loop device
    run("mount", device, str(mounted))
    run("losetup", "--detach", device)  # when it is no longer mounted
    try:
        yield mounted
    finally:
        run("umount", "-l", str(mounted))


def said(live: Daemon, text: str) -> bool:
    return any(text in line for line in live.told)


@pytest.mark.parametrize("block", [1024, 4096])
def test_a_full_disk_is_survived_and_the_loss_counted(net: Net, tmp_path: Path, block: int) -> None:
    with disk(tmp_path, 32 << 20, block) as folder, daemon(net, folder / "s.db", *OPTIONS) as live:
        send(net, 50)
        until(lambda: live.ask(RECEIVED)[0][0] == 50)
        filler = folder / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)
        until(lambda: send(net, 1) or said(live, "the disk is full"))
        before = live.ask(RECEIVED)[0][0]  # readers are not held up
        assert before >= 50
        filler.unlink()
        until(lambda: send(net, 1) or said(live, "writing again"))
        live.stop()
        assert live.process.returncode == 0
        ((lost,),) = live.ask("SELECT sum(windows_lost) FROM capture_health")
        assert lost >= 1
        ((kind, rule, evidence),) = live.ask(
            "SELECT event_type, rule_id, evidence FROM network_security_events"
        )
        assert (kind, rule) == ("sensor", "storage_full")
        assert json.loads(evidence)["windows_lost"] == lost
        assert live.ask("PRAGMA integrity_check") == [("ok",)]
        assert sum("the disk is full" in line for line in live.told) == 1


def test_a_disk_that_becomes_read_only(net: Net, tmp_path: Path) -> None:
    with disk(tmp_path, 32 << 20, 4096) as folder, daemon(net, folder / "s.db", *OPTIONS) as live:
        send(net, 50)
        until(lambda: live.ask(RECEIVED)[0][0] == 50)
        run("mount", "-o", "remount,errors=remount-ro", str(folder))
        (device,) = (
            line.split()[0].removeprefix("/dev/")
            for line in Path("/proc/mounts").read_text().splitlines()
            if line.split()[1] == str(folder)
        )
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
        until(lambda: send(net, 1) or said(live, "disk I/O error"))
        send(net, 10)
        assert live.ask(RECEIVED)[0][0] >= 50
        live.stop()
        assert live.process.returncode == 73
        assert said(live, "could not be written")
        assert not said(live, "Traceback")


def test_a_database_that_is_removed_begins_anew(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", *OPTIONS) as live:
        send(net, 20)
        until(lambda: live.ask(RECEIVED)[0][0] == 20)
        (tmp_path / "s.db").unlink()
        until(lambda: send(net, 1) or said(live, "was removed or replaced, and a new one begins"))
        until(lambda: send(net, 1) or (tmp_path / "s.db").exists())
        until(lambda: send(net, 1) or live.ask(RECEIVED)[0][0] > 0)
        live.stop()
        assert live.process.returncode == 0
        assert sum("a new one begins" in line for line in live.told) == 1
        ((lost,),) = live.ask("SELECT sum(windows_lost) FROM capture_health")
        assert lost == 1


def test_a_full_disk_is_told_at_the_start(net: Net, tmp_path: Path) -> None:
    with disk(tmp_path, 6 << 20, 1024) as folder:
        command = net.on_host("python3", "-m", "sensor", "run", "-i", "eth0", "--db")
        command[command.index("python3")] = sys.executable
        done = subprocess.run(
            [*command, str(folder / "s.db")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 73
        assert "free on the disk" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_damaged_database_is_set_aside(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", *OPTIONS) as live:
        send(net, 20)
        live.stop()
    octets = bytearray((tmp_path / "s.db").read_bytes())
    octets[:16] = bytes(16)
    (tmp_path / "s.db").write_bytes(octets)
    with daemon(net, tmp_path / "s.db", *OPTIONS) as live:
        send(net, 30)
        live.stop()
    assert said(live, "a new one begins")
    assert len(list(tmp_path.glob("s.db.damaged-*"))) == 1
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        assert db.execute(RECEIVED).fetchone() == (30,)


def test_pages_that_break_while_it_runs(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", *OPTIONS) as live:
        send(net, 20)
        until(lambda: live.ask(RECEIVED)[0][0] == 20)
        with closing(sqlite3.connect(tmp_path / "s.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = (tmp_path / "s.db").stat().st_size
        with (tmp_path / "s.db").open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        until(lambda: send(net, 1) or said(live, "a new one begins"))
        until(lambda: send(net, 1) or said(live, "writing again"))
        live.stop()
    assert live.ask("PRAGMA integrity_check") == [("ok",)]


def test_a_second_one_is_refused(net: Net, tmp_path: Path) -> None:
    with daemon(net, tmp_path / "s.db", *OPTIONS) as live:
        command = [sys.executable, "-m", "sensor", "run", "-i", "eth0"]
        done = subprocess.run(
            net.on_host(*command, "--db", str(tmp_path / "s.db")),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 73
        assert "in use by another sensor" in done.stderr
        live.stop()
