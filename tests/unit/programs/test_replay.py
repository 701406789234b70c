"""`sensor replay` from file to document: exact figures of made captures, and every way to end."""

import json
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sensor.errors import CannotWrite
from sensor.programs.document import Capture
from sensor.programs.replay import Replay
from tests.unit.programs.captures import MS, START, traffic, write
from tests.unit.programs.test_cli import run

CONNECTIONS = 150
PACKETS = 10 * CONNECTIONS + 4 * 10


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("captures") / "traffic.pcap", traffic(CONNECTIONS))


def document(*arguments: str | Path, stdin: bytes = b"", status: int = 0) -> dict[str, Any]:
    done = run("replay", *map(str, arguments), "--json", stdin=stdin)
    assert done.returncode == status, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def comparable(made: dict[str, Any]) -> dict[str, Any]:
    """Without what may differ: the replay's own speed, and the names of the files."""
    made.pop("performance")
    made["capture"].pop("files")
    return made


@pytest.fixture(scope="module")
def whole(capture: Path) -> dict[str, Any]:
    return document(capture)


def test_counts_are_exact(whole: dict[str, Any]) -> None:
    frames = traffic(CONNECTIONS)
    assert whole["capture"]["packets"] == PACKETS
    assert whole["capture"]["bytes"] == sum(len(data) for _, data in frames)
    assert whole["capture"]["captured_bytes"] == whole["capture"]["bytes"]
    assert whole["capture"]["duration_s"] == (frames[-1][0] - START) / 1e9
    assert whole["capture"]["first_packet"] == "2023-11-14T22:13:20.000000000Z"
    assert (whole["packets"]["tcp"], whole["packets"]["udp"]) == (8 * CONNECTIONS + 20, 300)
    assert whole["packets"]["icmp"] == 20
    assert whole["connections"]["tcp"] == CONNECTIONS + 10
    assert whole["connections"]["states"]["SF"] >= CONNECTIONS
    assert whole["connections"]["states"]["REJ"] == 10
    assert whole["tcp"]["handshakes"] == CONNECTIONS
    assert whole["tcp"]["retransmissions"] == 0


def test_latency_is_exact(whole: dict[str, Any]) -> None:
    handshake = whole["latency_us"]["tcp_handshake"]
    assert handshake["count"] == CONNECTIONS
    assert handshake["min"] == handshake["p50"] == handshake["max"] == 20_000.0
    assert whole["latency_us"]["icmp_echo"]["mean"] == 5_000.0


def test_the_host_is_learned_and_said(whole: dict[str, Any]) -> None:
    assert whole["capture"]["local"] == ["10.0.0.2/32"]
    assert whole["capture"]["local_source"] == "learned_host"
    (agent,) = whole["network_metrics"]
    assert agent["geographic_distribution"]["region"] == "private"
    assert agent["latency_metrics"]["packet_loss_rate"] == 0.0
    octets_in = sum(len(data) for _, data in traffic(CONNECTIONS) if data[30:34] == b"\x0a\0\0\x02")
    rate = octets_in * 8 / 1e6 / whole["capture"]["duration_s"]
    assert agent["bandwidth_metrics"]["ingress_mbps"] == pytest.approx(rate, abs=1e-6)


def test_replaying_twice_gives_the_same_octets(capture: Path, whole: dict[str, Any]) -> None:
    again = document(capture)
    assert again.pop("performance")["seconds"] > 0
    assert json.dumps(again) == json.dumps({k: v for k, v in whole.items() if k != "performance"})


@pytest.mark.parametrize("at", [1, 600, PACKETS - 1])
def test_two_halves_are_the_whole(tmp_path: Path, whole: dict[str, Any], at: int) -> None:
    frames = traffic(CONNECTIONS)
    write(tmp_path / "1.pcap", frames[:at])
    write(tmp_path / "2.pcap", frames[at:])
    halves = document(tmp_path)
    assert [Path(f).name for f in halves["capture"]["files"]] == ["1.pcap", "2.pcap"]
    assert comparable(halves) == comparable(json.loads(json.dumps(whole)))


def test_standard_input_is_a_capture_like_any(capture: Path, whole: dict[str, Any]) -> None:
    piped = document("-", stdin=capture.read_bytes())
    assert piped["capture"]["files"] == ["-"]
    assert comparable(piped) == comparable(json.loads(json.dumps(whole)))


def test_given_prefixes_turn_the_direction(capture: Path) -> None:
    made = document(capture, "--local", "198.51.100.0/24", "--agent-id", "A" * 32)
    (agent,) = made["network_metrics"]
    assert agent["agent_id"] == "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    assert made["capture"]["local_source"] == "given"
    assert agent["geographic_distribution"]["region"] == "unknown"


def test_window_length_changes_no_total(capture: Path, whole: dict[str, Any]) -> None:
    short = document(capture, "--window", "7")
    for section in ("packets", "connections", "tcp", "latency_us", "http", "dns"):
        assert short[section] == whole[section]


def test_damage_keeps_what_came_before(tmp_path: Path, capture: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-10])
    done = run("replay", str(cut), "--json")
    assert done.returncode == 65
    made = json.loads(done.stdout)
    assert made["capture"]["packets"] == PACKETS - 1
    offset = len(capture.read_bytes()) - len(traffic(CONNECTIONS)[-1][1]) - 16
    assert made["capture"]["damaged"].startswith(f"{cut}:{offset}: ")
    assert done.stderr.decode().splitlines() == [f"sensor: {made['capture']['damaged']}"]
    report = run("replay", str(cut))
    assert report.returncode == 65
    assert b"Damaged: " in report.stdout


def test_after_a_damaged_file_the_next_is_read(tmp_path: Path, capture: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(capture.read_bytes()[:-10])
    (tmp_path / "b.pcap").write_bytes(capture.read_bytes())
    made = document(tmp_path, status=65)
    assert made["capture"]["packets"] == 2 * PACKETS - 1
    assert "a.pcap" in made["capture"]["damaged"]


def test_no_capture_at_all_says_so_and_nothing_else(tmp_path: Path) -> None:
    text = tmp_path / "notes\x1b[2J.txt"
    text.write_text("these are notes, and no capture at all")
    done = run("replay", str(text), "--json")
    assert (done.returncode, done.stdout) == (66, b"")
    (line,) = done.stderr.splitlines()
    assert b"\x1b" not in line


def test_an_empty_capture_is_no_error(tmp_path: Path) -> None:
    made = document(write(tmp_path / "empty.pcap", []))
    assert made["capture"]["packets"] == 0
    assert made["capture"]["first_packet"] is made["capture"]["duration_s"] is None
    assert made["network_metrics"][0]["measurement_period"] is None


def test_ctrl_c_reports_what_was_read(capture: Path) -> None:
    replay = Replay((str(capture),), speed=1e9)
    done = replay.run(progress=lambda _: signal.raise_signal(signal.SIGINT))
    assert done.status == 130
    assert done.document["capture"]["packets"] == 512  # one batch
    assert done.document["connections"]["tcp"] > 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_a_wait_for_a_pipe(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay((str(capture),))
    seen: list[int] = []

    def add(self: Capture, source: Any) -> int:
        seen.append(source.pending)
        return 0

    def read(self: Any, source: Any) -> int:
        if seen:
            signal.raise_signal(signal.SIGINT)
        return int(source.next_batch())

    monkeypatch.setattr(Capture, "add", add)
    monkeypatch.setattr("sensor.flow.meter.Meter.read", read)
    assert replay.run().status == 130
    assert seen == [512, 0]


def test_speed_paces_by_packet_time(tmp_path: Path) -> None:
    frames = traffic(2)[:12]
    path = write(
        tmp_path / "slow.pcap", [(START + i * 10 * MS, f) for i, (_, f) in enumerate(frames)]
    )
    assert document(path, "--speed", "1000")["capture"]["packets"] == 12


def test_a_reader_of_its_own_changes_no_figure(tmp_path: Path, capture: Path) -> None:
    rows, made = [], []
    for workers in ("1", "4"):
        path = tmp_path / f"{workers}.db"
        arguments = ("--workers", workers, "--window", "1", "--db", path)
        made.append(comparable(document(capture, *arguments)))
        with closing(sqlite3.connect(path)) as db:
            rows.append([line for line in db.iterdump() if '"_sqlite_migrations"' not in line])
    assert made[0] == made[1]
    assert rows[0] == rows[1]
    assert len(rows[0]) > 1000


def test_a_reader_of_its_own_tells_of_damage(tmp_path: Path, capture: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-7])
    made = document(cut, "--workers", "2", status=65)
    assert made["capture"]["packets"] == PACKETS - 1
    done = run("replay", str(cut), "--workers", "2", "--db", "/proc/none/x.db")
    assert done.returncode == 73


def test_what_a_consumer_raises_ends_the_reader(capture: Path) -> None:
    class Full:
        def window(self, window: Any) -> None:
            raise CannotWrite("no room")

        def flows(self, rows: Any, names: bytes) -> None:
            pass

    with pytest.raises(CannotWrite, match="no room"):
        Replay((str(capture),), window_s=1, workers=2).run((Full(),))
    assert not [thread for thread in threading.enumerate() if thread.name == "reader"]


def test_ctrl_c_reaches_a_reader_of_its_own(capture: Path) -> None:
    class Asks:
        def window(self, window: Any) -> None:
            signal.raise_signal(signal.SIGINT)

        def flows(self, rows: Any, names: bytes) -> None:
            pass

    with pytest.raises(KeyboardInterrupt):  # at the second window: Ctrl-C twice
        Replay((str(capture),), window_s=1, workers=2).run((Asks(),))
