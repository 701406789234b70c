"""`sensor respond` with a real kernel, a real nft and real packets, in namespaces of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from time import monotonic, time_ns

import pytest

from sensor.respond.journal import journal_path
from tests.live.namespaces import (
    GATEWAY4,
    HOST4,
    HOST6,
    ROOT,
    STRANGERS,
    Net,
    run,
    server,
    two_namespaces,
)
from tests.unit.respond.made import done, flood, write

pytestmark = pytest.mark.net
FIRST4, SECOND4, FIRST6, SECOND6 = STRANGERS
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
WITH_NET_ADMIN = ("--inh-caps", "+net_admin", "--ambient-caps", "+net_admin")
US = 1_000_000


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with two_namespaces() as made, server(made):
        assert all(made.reaches(source) for source in STRANGERS)
        yield made


@pytest.fixture
def place(net: Net, tmp_path: Path) -> "Iterator[Place]":
    yield Place(net, tmp_path)
    subprocess.run(
        net.on_host("nft", "delete", "table", "inet", "sensor_response"),
        capture_output=True,
        check=False,
    )


class Place:
    """A store, a configuration and a journal, on the host of a net."""

    def __init__(self, net: Net, folder: Path) -> None:
        self.net = net
        self.db = str(folder / "s.db")
        self.config = folder / "sensor.toml"
        self.configure()

    def configure(self, **values: object) -> None:
        keys = {"enabled": True, "dry_run": False, "timeout": "10m"} | values
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        self.config.write_text("\n".join(["[response]", *lines]))

    def attack(self, source: str, n: int = 1, **more: object) -> None:
        """The sensor has seen `source` flood the host just now."""
        now = time_ns() // 1000
        victim = HOST6 if ":" in source else HOST4
        port = 8000 + n  # to each its own service: nobody but the main source is confirmed
        seen = flood(n, now, source=source, destination_ip=victim, destination_port=port, **more)
        row = done(now, source=source, resp_ip=victim, resp_port=port)
        write(self.db, seen, connections=[row] * 2)

    def sensor(self, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        command = [*prefix, sys.executable, "-m", "sensor", "respond", *words]
        given = ["--db", self.db, "--config", str(self.config)]
        whole = self.net.on_host(*command, *given)
        return subprocess.run(whole, capture_output=True, text=True, check=False, cwd=ROOT)

    def turn(self) -> list[str]:
        """`run --once`: the lines that it says."""
        done = self.sensor("run", "--once")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def status(self) -> dict:
        done = self.sensor("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def nft(self, *words: str, text: str | None = None) -> str:
        return run(*self.net.on_host("nft", *words), text=text)


@pytest.mark.parametrize(
    ("source", "other"), [(FIRST4, SECOND4), (FIRST6, SECOND6)], ids=["ipv4", "ipv6"]
)
def test_a_source_is_blocked_others_are_not_and_undo_frees_it(
    place: Place, source: str, other: str
) -> None:
    net = place.net
    place.attack(source)
    [line] = place.turn()
    assert f" blocked {source} for 600 s (http_flood against " in line
    assert not net.reaches(source)
    assert net.reaches(other)
    assert place.turn() == []  # once is enough

    shown = place.status()
    [element] = shown["kernel"]
    assert element["address"] == source
    assert 0 < element["expires_s"] <= 600
    assert element["packets"] > 0  # the SYNs that were not let in
    [action] = shown["active"]
    assert (action["state"], action["dry_run"], action["set_name"]) == (
        "added",
        False,
        "blocked6" if ":" in source else "blocked4",
    )

    freed = place.sensor("undo", source)
    assert (freed.returncode, freed.stderr) == (0, "")
    assert net.reaches(source)
    place.attack(source)  # the event goes on: the operator has the last word
    [line] = place.turn()
    assert line.endswith("did not block " + source + " (the operator took it back, event 0b0e5a1c)")
    place.attack(source, 2)  # another event is another matter
    assert "blocked" in place.turn()[0]
    assert not net.reaches(source)


def test_the_kernel_frees_it_when_the_time_is_over(place: Place) -> None:
    place.configure(timeout="2s")
    place.attack(FIRST4)
    start = monotonic()
    place.turn()
    assert not place.net.reaches(FIRST4, 0.2)
    while not place.net.reaches(FIRST4, 0.2):  # nobody of us runs meanwhile
        assert monotonic() < start + 15
    assert monotonic() - start >= 2
    place.configure(timeout="2s", classes=["slowloris"])
    [line] = place.turn()
    assert f" freed {FIRST4} (timeout, event 0b0e5a1c)" in line


def test_a_dry_run_changes_nothing(place: Place) -> None:
    place.configure(dry_run=True)
    place.attack(FIRST4)
    before = place.nft("list", "ruleset")
    [line] = place.turn()
    assert f" would block {FIRST4} for 600 s" in line
    assert place.turn() == []
    assert place.nft("list", "ruleset") == before
    assert place.net.reaches(FIRST4)
    place.configure(enabled=False)
    assert "Response is off" in place.turn()[0]


def test_other_tables_are_left_alone_and_all_is_undone(place: Place) -> None:
    mine = "table inet mine { set s { type ipv4_addr; elements = { 1.2.3.4 }; }; }\n"
    place.nft("-f", "-", text=mine)
    before = place.nft("list", "ruleset")
    place.attack(FIRST4)
    place.attack(FIRST6, 2)
    assert len(place.turn()) == 2
    place.nft("add", "element", "inet", "sensor_response", "blocked4", "{ 203.0.113.5 }")
    undone = place.sensor("undo", "--all")
    assert undone.returncode == 0, undone.stderr
    assert place.nft("list", "ruleset") == before
    place.nft("delete", "table", "inet", "mine")
    by = {a["address"]: (a["state"], a["ended_by"]) for a in place.status()["actions"]}
    assert by == dict.fromkeys((FIRST4, FIRST6, "203.0.113.5"), ("removed", "undo"))


def test_a_table_of_somebody_else_is_an_error(place: Place) -> None:
    place.nft("-f", "-", text="table inet sensor_response { chain theirs { }; }\n")
    before = place.nft("list", "ruleset")
    place.attack(FIRST4)
    for words in (("run", "--once"), ("undo", "--all")):
        done = place.sensor(*words)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "sensor: the nftables table inet sensor_response is not ours:"
            " give [response] another `table`"
        ]
    assert place.nft("list", "ruleset") == before


def test_new_settings_make_the_table_anew_and_keep_what_is_in_it(place: Place) -> None:
    place.attack(FIRST4)
    place.turn()
    place.configure(max_entries=7, priority=-150)
    place.attack(SECOND4, 2)
    place.turn()
    text = place.nft("list", "table", "inet", "sensor_response")
    assert "size 7" in text
    assert "hook prerouting priority mangle" in text
    assert not place.net.reaches(FIRST4, 0.2)
    assert not place.net.reaches(SECOND4, 0.2)
    place.configure(table="renamed")
    assert [line.split(" (")[1] for line in place.turn()] == ["gone, event 0b0e5a1c)"] * 2
    assert "sensor_response" not in place.nft("list", "tables")
    assert len(place.turn()) == 2
    assert not place.net.reaches(FIRST4, 0.2)
    place.nft("delete", "table", "inet", "renamed")


def test_what_becomes_protected_is_freed(place: Place) -> None:
    place.attack(FIRST4)
    place.turn()
    place.configure(allow=["198.51.100.0/24"])
    lines = place.turn()
    assert any(f" freed {FIRST4} (protected: on the allow list, " in line for line in lines)
    assert place.net.reaches(FIRST4)


def test_the_gateway_is_never_blocked_though_private_targets_are_allowed(place: Place) -> None:
    place.configure(allow_private_targets=True)
    place.attack(GATEWAY4)
    [line] = place.turn()
    assert f"did not block {GATEWAY4} (protected: a gateway of this host, " in line


def test_killed_between_the_record_and_the_deed(place: Place) -> None:
    """The journal says planned: the kernel tells whether it came to it."""
    place.attack(FIRST4)
    place.attack(FIRST6, 2)
    place.turn()
    with closing(connect(journal_path(place.db))) as journal, journal:
        journal.execute("UPDATE actions SET state = 'planned', added_at = NULL")
    place.nft("delete", "element", "inet", "sensor_response", "blocked6", f"{{ {FIRST6} }}")
    place.turn()
    first, second, *again = reversed(place.status()["actions"])
    assert (first["state"], first["added_at"]) == ("added", first["at"])
    assert (second["state"], second["ended_by"]) == ("failed", "interrupted")
    assert [a["address"] for a in again] == []  # the next turn will
    place.turn()
    assert not place.net.reaches(FIRST6, 0.2)


def test_taken_out_by_hand_is_seen(place: Place) -> None:
    place.attack(FIRST4)
    place.turn()
    place.nft("flush", "ruleset")
    assert [line.split(" ", 1)[1] for line in place.turn()] == [
        f"freed {FIRST4} (gone, event 0b0e5a1c)"
    ]
    assert place.status()["active"] == []


def test_limits_are_kept_and_told(place: Place) -> None:
    place.configure(max_entries=1)
    place.attack(FIRST4)
    place.attack(SECOND4, 2)
    lines = place.turn()
    assert [" ".join(line.split()[1:4]) for line in lines] == [
        "did not block",
        f"blocked {FIRST4} for",
    ]
    assert "limit: 1 addresses at a time" in lines[0]
    assert place.net.reaches(SECOND4)


def test_nobody_with_the_capability_is_enough_and_without_is_77(
    place: Place, tmp_path: Path
) -> None:
    place.attack(FIRST4)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    Path(place.db).chmod(0o644)
    own = tmp_path / "own"
    own.mkdir()
    own.chmod(0o777)
    words = ("run", "--once", "--journal", str(own / "journal.db"))
    refused = place.sensor(*words, prefix=NOBODY)
    assert refused.returncode == 77
    [line] = refused.stderr.splitlines()
    assert line.endswith(": needs CAP_NET_ADMIN")
    assert place.net.reaches(FIRST4)
    may = place.sensor(*words, prefix=(*NOBODY, *WITH_NET_ADMIN))
    assert (may.returncode, may.stderr) == (0, "")
    assert not place.net.reaches(FIRST4)
