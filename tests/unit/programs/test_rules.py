"""`sensor rules` over the shipped files and an operator's; docs/rules.md has the worked example."""

import json
import re
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result

from sensor.detect.loader import load_rules
from sensor.model.rows import WindowRows
from sensor.programs.cli import cli
from sensor.programs.detection import COLUMNS, shipped_folder, shipped_rules
from sensor.programs.rule_words import rule_sections
from sensor.store.sqlite import SqliteStore
from tests.unit.programs.test_cli import run
from tests.unit.store.made import agent, event

ROOT = Path(__file__).parents[3]
SHIPPED = {f.stem: tomllib.loads(f.read_text()) for f in sorted((ROOT / "rules").glob("*.toml"))}
OWN = re.findall(r"^```toml\n(.*?)^```$", (ROOT / "docs/rules.md").read_text(), re.M | re.S)[0]


def rules(*arguments: object) -> Result:
    """As `main` runs it: the command's value is the exit status."""
    done = CliRunner().invoke(
        cli, ["rules", *map(str, arguments)], env={"COLUMNS": "100"}, standalone_mode=False
    )
    assert done.exception is None, done.exception
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules.d"
    made.mkdir()
    (made / "own.toml").write_text(OWN)
    return made


def line_of(text: str, part: str) -> int:
    return 1 + next(i for i, line in enumerate(text.splitlines()) if part in line)


# ---- list


def test_list_has_every_shipped_rule(folder: Path) -> None:
    listed = json.loads(rules("list", "--json", "--rules", folder).stdout)
    assert listed["schema"] == 1
    assert listed["errors"] == []
    by_id = {rule["id"]: rule for rule in listed["rules"]}
    assert set(by_id) == {raw["id"] for raw in SHIPPED.values()} | {"printer_jobs"}
    for raw in SHIPPED.values():
        rule = by_id[raw["id"]]
        for key in ("version", "title", "event_type", "family"):
            assert rule[key] == raw[key]
        assert rule["attack_class"] == raw.get("attack", {}).get("class", raw["id"])
        assert rule["table"] == raw["scope"]["table"]
        assert rule["severity_levels"] == raw["severity"]["levels"]
        assert rule["params"] == raw.get("params", {})
        assert rule["tests"] == len(raw["test"])
        assert rule["overridden_by"] == []
    plain = rules("list", "--rules", folder).stdout
    assert "    Somebody prints in a loop (info 0, low 10, medium 40, high 70)\n" in plain
    ids = [line.split()[0] for line in plain.splitlines()[1::2]]
    assert ids == sorted(by_id)


def test_a_bad_file_is_said_and_the_others_are_listed(folder: Path) -> None:
    (folder / "bad.toml").write_text("schema = 2\nid = 'bad\x1b'\n")
    (folder / "off.toml").write_text("schema = 1\nid = 'syn_flood'\nenabled = false\n")
    done = rules("list", "--rules", folder)
    assert done.return_value == 0
    assert "bad.toml:" in done.stderr
    assert "\x1b" not in done.output
    [line] = [line for line in done.stdout.splitlines() if line.startswith("  syn_flood ")]
    assert line.endswith("off, overridden")
    [error] = json.loads(rules("list", "--rules", folder, "--json").stdout)["errors"]
    assert error["file"].endswith("bad.toml")


def test_a_folder_that_may_not_be_read_stops_no_shipped_rule(nobody: None) -> None:
    with TemporaryDirectory() as made:
        own = Path(made) / "rules.d"
        own.mkdir()
        for locked in (own, Path(made)):
            locked.chmod(0)
            loaded = load_rules(shipped_folder(), own, columns=COLUMNS)
            locked.chmod(0o700)
            assert len(loaded.rules) == len(SHIPPED)
            assert [str(e).lower() for e in loaded.errors] == [
                f"{own}:0: permission denied".lower()
            ]


# ---- check


def test_the_shipped_rules_are_right() -> None:
    done = rules("check")
    assert (done.return_value, done.stderr) == (0, "")
    assert done.stdout == f"{len(SHIPPED)} rules, no errors\n"
    assert rules("check", "--alone", ROOT / "rules").stdout == done.stdout


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        ('status      = "stable"', 'statuz = "stable"', "unknown key 'statuz'"),
        ('when = "jobs >= 20 * floor"', 'when = "jobz >= floor"', "unknown column or feature jobz"),
        ("{ info = 0, low = 10", "{ info = 50, low = 10", "levels must ascend"),
        ('window = "10s"', 'window = "ten"', "window must be a duration"),
        ('clear     = "jobs < floor / 2"', 'clear = "jobs.x < 1"', "not allowed: jobs.x"),
    ],
)
def test_an_error_is_a_line_with_file_and_line(
    folder: Path, good: str, bad: str, reason: str
) -> None:
    path = folder / "own.toml"
    text = OWN.replace(good, bad)
    assert text != OWN
    path.write_text(text)
    for place in (folder, path):
        done = rules("check", place)
        assert done.return_value == 2
        assert done.stdout.endswith(" rules, 1 error\n")
        [line] = done.stderr.splitlines()
        assert line.startswith(f"{path}:{line_of(text, bad)}: ")
        assert reason in line
    document = json.loads(rules("check", path, "--json").stdout)
    [error] = document["errors"]
    assert (error["file"], error["line"]) == (str(path), line_of(text, bad))
    assert reason in error["reason"]


def test_what_an_override_may_not_change(folder: Path) -> None:
    """A copy of a shipped rule is no override; beside no shipped rules it is a rule."""
    copy = folder / "copy.toml"
    copy.write_text((ROOT / "rules" / "syn_flood.toml").read_text())
    done = rules("check", folder)
    assert done.return_value == 2
    assert done.stderr.startswith(f"{copy}:")
    assert rules("check", copy, folder / "own.toml", "--alone").stdout == "2 rules, no errors\n"


def test_what_cannot_be_checked(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    for place, status, words in (
        (tmp_path / "absent.toml", 66, "no such file"),
        (tmp_path / "empty", 66, "no *.toml file"),
        (tmp_path / "notes.txt", 2, "ends in .toml"),
        (tmp_path / "notes.txt" / "x.toml", 66, "no"),
    ):
        done = run("rules", "check", str(place))
        assert done.returncode == status, place
        [line] = done.stderr.decode().splitlines()
        assert str(place) in line
        assert words in line
        assert done.stdout == b""
    (folder / "huge.toml").write_bytes(b"#" * (1 << 20))
    (folder / "octets.toml").write_bytes(b"\xff\xfe")
    (folder / "folder.toml").mkdir()
    done = rules("check", folder)
    assert done.return_value == 2
    assert len(done.stderr.splitlines()) == 3


# ---- test


def test_the_shipped_rules_pass_their_tests() -> None:
    done = rules("test")
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert not failed
    assert done.return_value == 0
    tests = sum(len(raw["test"]) for raw in SHIPPED.values())
    assert done.stdout.splitlines()[-1] == f"{tests} tests of {len(SHIPPED)} rules, 0 failed"


def test_a_test_that_fails_says_why(folder: Path) -> None:
    wrong = OWN.replace("open_by = 81", "open_by = 80")
    (folder / "own.toml").write_text(
        wrong + '\n[[test]]\nname = "seen"\npcap = "a.pcap"\nexpect = { opens = 1 }\n'
    )
    done = rules("test", "printer_jobs", "--rules", folder)
    assert done.return_value == 2
    first, *others, skipped, last = done.stdout.splitlines()
    assert first.startswith("FAIL  printer_jobs: a loop prints 60 jobs in ten seconds: open_by 80")
    assert all(line.startswith("ok    printer_jobs: ") for line in others)
    assert skipped == "skip  printer_jobs: seen: needs a capture"
    assert last == "5 tests of 1 rules, 1 failed, 1 skipped"
    document = json.loads(rules("test", "printer_jobs", "--rules", folder, "--json").stdout)
    assert [test["passed"] for test in document["tests"]] == [False, True, True, True, None]
    assert "open_by" in document["tests"][0]["reasons"][0]


def test_a_rule_that_cannot_be_tested(folder: Path) -> None:
    (folder / "own.toml").write_text(OWN.replace("statu", "statuz"))
    for one in ("nothing", "printer_jobs"):
        done = run("rules", "test", one, "--rules", str(folder))
        assert done.returncode == 2
        [line] = done.stderr.decode().splitlines()
        assert line.startswith("sensor: ")
    assert "own.toml:" in line  # why it is not there


# ---- explain


def test_explain_a_rule(folder: Path) -> None:
    raw = tomllib.loads(OWN)
    done = rules("explain", "printer_jobs", "--rules", folder, "--json")
    said = json.loads(done.stdout)["explanation"]
    flat = [line for lines in said.values() for line in lines]
    for condition in raw["condition"]:
        assert any(condition["when"] in line for line in said["When it fires"])
    assert "An event opens when any of these hold: many, flooded." in said["When it fires"]
    assert "floor = 30" in said["Numbers to tune: [params]"]
    assert said["Whom it leaves alone: [allow]"] == ["sources: 192.0.2.10/32", "until 2030-12-31"]
    assert f"print server: {raw['look_alikes']['print_server']}" in flat
    assert {raw["mitigation"]["summary"], *raw["mitigation"]["steps"]} <= set(flat)
    assert "Never more than 95 %." in flat
    assert "Watches each destination service (address, port, protocol) in windows of 10 s." in flat
    plain = rules("explain", "printer_jobs", "--rules", folder).stdout
    assert plain.startswith("printer_jobs, version 1: Somebody prints in a loop\n")
    assert max(map(len, plain.splitlines())) <= 100


def test_every_shipped_rule_has_words() -> None:
    for rule in shipped_rules().rules:
        titles = [section.title for section in rule_sections(rule)]
        assert {"What it is about", "When it fires", "What to do"} <= set(titles), rule.id


def test_explain_an_event(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with SqliteStore(path) as store:
        store.write_window(WindowRows(agent(), events=[event(0xA1), event(0xA2)]))
    done = rules("explain", event(0xA1).id, "--db", path)
    assert done.return_value == 0
    assert done.stdout.startswith(f"Event {event(0xA1).id}\n")
    assert "What it could be instead" in done.stdout  # of the rule's file
    assert done.stdout == CliRunner().invoke(
        cli, ["events", "--db", path, "explain", event(0xA1).id], env={"COLUMNS": "100"}
    ).stdout  # fmt: skip
    for arguments, status, words in (
        (("0b0e5a1c", "--db", path), 2, "is the beginning of several"),
        (("ffffffff", "--db", path), 66, "no event ffffffff"),
        (("0b0e5a1c", "--db", str(tmp_path / "no.db")), 66, "no such database"),
        (("0b0e5a1c",), 2, "no rule '0b0e5a1c'"),
    ):
        refused = run("rules", "explain", *arguments)
        assert refused.returncode == status
        [line] = refused.stderr.decode().splitlines()
        assert words in line
