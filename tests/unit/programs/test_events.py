"""`sensor events` over databases that the store wrote."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result

from sensor.errors import InputMissing
from sensor.model.rows import WindowRows
from sensor.programs.cli import cli
from sensor.programs.events import command
from sensor.store.sqlite import SqliteStore
from tests.unit.programs.test_cli import run
from tests.unit.store.made import T0, US, agent, event, resolved

HOUR = 3600 * US
OTHER_AGENT = "11111111-58c5-4ac5-a8a5-d2ad3e1c7d10"
FLOOD = event(
    0xA, T0, packets_count=1_234_567, severity="critical",
    evidence='{"spoofed": true, "sources_estimated": 3041233.2}',
)  # fmt: skip
SCAN = resolved(
    event(
        0xB, T0 + HOUR, event_type="port_scan", attack_class="port_scan", severity="low",
        source_ip="2001:db8:1234:5678:9abc:def0:1234:5678", agent_id=OTHER_AGENT,
        destination_ip="2001:db8:1234:5678:9abc:def0:1234:5679", confidence_score=1.0,
    )._replace(id="77777777-0000-5000-8000-00000000000b"),
    T0 + 2 * HOUR,
    duration_ms=3_602_000,
)  # fmt: skip
TUNNEL = resolved(
    event(
        0xC, T0 + 3 * HOUR, event_type="data_exfiltration", attack_class="dns_tunnel",
        title="\x1b]0;owned\x07 \u202etunnel", destination_ip=None, destination_port=None,
        severity="medium", source_ip="10.0.0.9", protocol="dns\x1b[2J", packets_count=None,
        confidence_score=None,
    ),
    T0 + 3 * HOUR + US,
)  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[FLOOD, SCAN, TUNNEL]))
    return path


def events(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["events", *arguments], env={"COLUMNS": "80"})


def classes(*arguments: str) -> list[str]:
    done = events(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return [e["attack_class"] for e in json.loads(done.output)["events"]]


def test_the_table(database: str) -> None:
    done = events("--db", database)
    assert done.exit_code == 0
    assert not {"\x1b", "\x07", "\u202e"} & set(done.output)
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert lines == [
        "Time (UTC) Severity Attack Packets Sure State",
        "2023-11-15 01:00:00 medium dns_tunnel - - over after 2 s",
        r"0b0e5a1c 10.0.0.9 → several destinations (dns\x1b[2J)",
        "2023-11-14 23:00:00 low port_scan 1,000 99.9 % over after 60 min 02 s",
        "77777777 2001:db8:1234:5678:9abc:def0:1234:5678"
        " → [2001:db8:1234:5678:9abc:def0:1234:5679]:80/tcp",
        "2023-11-14 22:00:00 critical syn_flood 1,234,567 90 % open",
        "0b0e5a1c about 3,041,233 forged sources → 10.0.0.1:80/tcp",
    ]


def test_fewer_than_there_are_is_said(database: str) -> None:
    last = events("--db", database, "--limit", "1").output.splitlines()[-1]
    assert last == "2 older ones are not shown: --limit 3"
    assert "No events." in events("--db", database, "--class", "nothing").output
    document = json.loads(events("--db", database, "--limit", "1", "--json").output)
    assert (document["schema"], document["matched"], len(document["events"])) == (1, 3, 1)


def test_filters_and_times(database: str) -> None:
    db = ("--db", database)
    assert classes(*db) == ["dns_tunnel", "port_scan", "syn_flood"]
    assert classes(*db, "--severity", "medium") == ["dns_tunnel", "syn_flood"]
    assert classes(*db, "--type", "port_scan") == ["port_scan"]
    assert classes(*db, "--class", "syn_flood") == ["syn_flood"]
    assert classes(*db, "--status", "open") == ["syn_flood"]
    assert classes(*db, "--agent", OTHER_AGENT) == ["port_scan"]
    # The newest packet is of 01:00:01; the flood still goes on, the scan ended at 00:00.
    assert classes(*db, "--since", "1h") == ["dns_tunnel", "syn_flood"]
    assert classes(*db, "--since", "61m") == ["dns_tunnel", "port_scan", "syn_flood"]
    assert classes(*db, "--until", "3h") == ["syn_flood"]
    assert classes(*db, "--until", "2023-11-14T22:00:00Z") == ["syn_flood"]
    assert classes(*db, "--until", "2023-11-14 22:59:58") == ["syn_flood"]
    assert classes(*db, "--until", "2023-11-14T23:59:58.000001+01:00") == ["port_scan", "syn_flood"]
    assert classes(*db, "--until", "2023-11-14") == []
    assert classes(*db, "--since", "999999999w") == ["dns_tunnel", "port_scan", "syn_flood"]


def test_json_has_the_columns_and_parsed_parts(database: str) -> None:
    flood = json.loads(events("--db", database, "--status", "open", "--json").output)["events"][0]
    assert list(flood) == list(FLOOD._fields)
    assert flood["detected_at"] == "2023-11-14T22:00:00.000000000Z"
    assert datetime.fromisoformat(flood["started_at"]) == datetime(
        2023, 11, 14, 21, 59, 58, tzinfo=UTC
    )
    assert flood["resolved_at"] is None
    assert flood["blocked"] is False
    assert flood["evidence"] == {"spoofed": True, "sources_estimated": 3041233.2}


def test_ecs_is_one_object_per_line(database: str) -> None:
    lines = events("--db", database, "--ecs").output.splitlines()
    made = [json.loads(line) for line in lines]
    assert [e["event"]["action"] for e in made] == ["dns_tunnel", "port_scan", "syn_flood"]
    assert made[2]["sensor"]["evidence"]["spoofed"] is True


def test_follow_shows_what_is_new_and_what_changes_until_it_is_interrupted(database: str) -> None:
    arguments = ["events", "--db", database, "--severity", "critical", "--follow", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "sensor", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None

        def shown() -> dict:
            assert watching.stdout is not None
            return json.loads(watching.stdout.readline())

        assert (shown()["attack_class"], FLOOD.status) == ("syn_flood", "open")
        with SqliteStore(database) as store:
            later = [resolved(FLOOD, T0 + 4 * HOUR), event(0xD), event(0xE, severity="critical")]
            store.write_window(WindowRows(agent(), events=later))
            assert shown()["status"] == "resolved"
            assert shown()["id"] == later[2].id
        watching.send_signal(signal.SIGINT)
        assert watching.stdout.read() == b""
        assert watching.wait() == 130
        assert watching.stderr.read().strip() == b""


# ---- how it ends when something is wrong


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--db", "{db}", "--since", "yesterday"],
        ["--db", "{db}", "--since", "2023-13-01"],
        ["--db", "{db}", "--severity", "worst"],
        ["--db", "{db}", "--limit", "0"],
        ["--db", "{db}", "--json", "--ecs"],
        ["--db", "{db}", "explain"],
        ["--db", "{db}", "show", "77777777"],
        ["--db", "{db}", "explain", "7", "--follow"],
    ],
)
def test_usage_errors_are_2(database: str, arguments: list[str]) -> None:
    done = events(*(a.format(db=database) for a in arguments))
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_a_database_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("these are notes, not a database, and more than a hundred octets of them" * 20)
    for path, status, words in (
        (tmp_path / "nowhere.db", 66, "no such database"),
        (tmp_path, 66, "no such database"),
        (text, 65, "not a database"),
        (Path(f"{text}/x.db"), 66, "no such database"),
    ):
        done = run("events", "--db", str(path))
        assert done.returncode == status
        [line] = done.stderr.decode().splitlines()
        assert line.startswith(f"sensor: {path}: ")
        assert words in line


def test_a_database_that_may_not_be_read_is_one_line(nobody: None) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.db"
        SqliteStore(str(path)).close()
        for locked, words in ((path, "unable to open"), (Path(folder), "permission denied")):
            locked.chmod(0)
            with pytest.raises(InputMissing, match=words) as refused:
                command.main(["--db", str(path)], standalone_mode=False)
            locked.chmod(0o700)
            assert refused.value.exit_code == 66
