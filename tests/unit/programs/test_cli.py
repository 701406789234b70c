"""The command line: what it says, what it imports, how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sensor.programs.cli import COMMANDS, cli


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sensor", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )


def test_help_names_every_command_with_its_own_words() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.output
    for name, (_, line) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.name == name
        assert command.short_help == line
        assert line in shown.output


def test_help_imports_nothing_heavy() -> None:
    heavy = "numpy", "rich", "sqlite_utils", "hdrh", "iptocc", "pcapy", "sensor._native.engine"
    code = (
        "import sys\nfrom sensor.programs.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["replay"],
        ["replay", "x.pcap", "--local", "10.0.0.0/99"],
        ["replay", "x.pcap", "--agent-id", "../../etc/passwd"],
        ["replay", "x.pcap", "--window", "0"],
        ["replay", "x.pcap", "--speed", "0"],
        ["replay", "x.pcap", "--rules", "/nonexistent"],
        ["report"],
    ],
)
def test_usage_errors_are_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert b"Error: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert not done.stdout


def test_missing_input_is_66_in_one_line(tmp_path: Path) -> None:
    for arguments in (["nowhere.pcap"], [str(tmp_path)]):
        done = run("replay", *arguments)
        assert done.returncode == 66
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(f"sensor: {arguments[0]}: ".encode())


def test_interfaces_need_no_privileges() -> None:
    done = run("interfaces", "--json")
    assert done.returncode == 0
    names = {i["name"]: i for i in json.loads(done.stdout)["interfaces"]}
    kernel = set(os.listdir("/sys/class/net")) if Path("/sys/class/net").is_dir() else set()
    assert kernel <= set(names)
    for name in kernel:
        mtu = int(Path(f"/sys/class/net/{name}/mtu").read_text())
        assert names[name]["mtu"] == mtu
    if "lo" in kernel:
        assert names["lo"]["kind"] == "loopback"
    plain = run("interfaces").stdout.decode()
    assert all(len(line) <= 80 for line in plain.splitlines())
    assert kernel <= {line.split()[0] for line in plain.splitlines()}
