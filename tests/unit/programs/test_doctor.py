"""`sensor doctor` and `sensor status`: what they find, say, and exit with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sensor.programs import doctor, status
from sensor.programs.cli import cli


def test_what_is_wrong_with_settings_and_rules_is_found(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "mine.toml").write_text('id = "mine"\n')
    file = tmp_path / "s.toml"
    file.write_text(
        f'[capture]\ninterfaces = ["nothing0"]\n[store]\npath = "{tmp_path / "s.db"}"\n'
        f'[detection]\nrules = "{rules}"\n'
    )
    found = {f.about: f for f in doctor.examine(str(file)) if f.state == "bad"}
    assert "mine.toml" in found["rules"].found
    assert found.keys() <= {"rules", "nothing0", "privilege"}
    file.write_text("[captur]\n")
    assert next(doctor.examine(str(file))).state == "bad"


def test_json_is_what_people_read(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'[capture]\ninterfaces = ["lo"]\n[store]\npath = "{tmp_path / "s.db"}"\n')
    for words in ([], ["--json"]):
        done = CliRunner().invoke(cli, ["doctor", "--config", str(file), *words])
        assert done.exit_code in (0, 1)
    findings = json.loads(done.output)["findings"]
    assert {"settings", "rules", "sandbox", "disk", "database", "memory"} <= {
        f["about"] for f in findings
    }
    assert all(f["mend"] for f in findings if f["state"] == "bad" and f["about"] != "settings")


DOCUMENT = {
    "schema": 1, "state": "running", "written_at": "", "started_at": "", "uptime_s": 5.0,
    "version": "0.1.0", "pid": 1, "window_s": 60, "sandbox": ["seccomp"], "privileges": {},
    "writer": {"waiting": 3, "busy_s": 2.0},
    "process": {"cpu_s": 1.0, "rss_bytes": 1, "peak_rss_bytes": 1},
    "reloads": 0, "reload_error": None,
    "agents": [{
        "name": 'a"\\\n\x1b[2J', "agent_id": "x", "boot_id": "y", "workspace_id": "default",
        "packets": 7, "bytes": 9, "last_packet": None, "windows": 2, "windows_kept": 1,
        "lost": {"windows_lost": 1},
        "interfaces": [{"name": "eth0", "up": True, "received": 10, "dropped": 3, "freezes": 0,
                        "taken_over": False, "counted_before": 0, "gaps": 1, "gap_s": 2.0,
                        "ring_mib": 32}],
    }],
}  # fmt: skip


def test_a_status_is_read_and_a_stale_one_is_told(tmp_path: Path) -> None:
    db = tmp_path / "s.db"
    path = tmp_path / "s.db.status.json"
    done = CliRunner().invoke(cli, ["status", "--db", str(db)])
    assert type(done.exception).__name__ == "InputMissing"
    path.write_text(json.dumps({**DOCUMENT, "db": str(db)}))
    assert status.read(str(db))["alive"]
    done = CliRunner().invoke(cli, ["status", "--db", str(db)], standalone_mode=False)
    assert done.return_value == 0
    assert "3 dropped of 10, 1 gap of 2 s" in done.output
    assert "\x1b" not in done.output
    path.write_text(json.dumps({**DOCUMENT, "db": str(db), "state": "stopped"}))
    assert not status.read(str(db))["alive"]
    path.write_text("{")
    with pytest.raises(Exception, match="no status"):
        status.read(str(db))


def test_prometheus_can_read_it() -> None:
    lines = list(status.exposition({**DOCUMENT, "alive": True}))
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    name = '{agent="a\\"\\\\\\\\n\\\\x1b[2J",interface="eth0"}'
    assert values[f"sensor_interface_dropped_total{name}"] == "3"
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
