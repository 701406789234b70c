"""What the responder did, would have done, and did not do: its own small database.

The responder may not write the sensor's store, which has one writer. Who shows events joins this
file by `outcomes`. Times are us since 1970 UTC by the wall clock, unlike an event's.

An action is written before the firewall is asked and again with what came of it, so that after a
crash nothing is in force that the journal does not know.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from sensor.errors import CannotWrite, DamagedCapture, InputMissing, NoPermission, one_line

APPLICATION_ID = 0x53525350  # "SRSP"
VERSION = 1
BUSY_S = 5.0
MOST = 100_000  # actions kept; the oldest that are over go first
MOST_OUTPUT = 1000  # characters of what nft said
SCHEMA = """
CREATE TABLE actions ( -- One row per decision on an event's source.
    id INTEGER PRIMARY KEY, -- in the order they were taken
    event_id TEXT, -- UUID in network_security_events; NULL: the address was not ours
    agent_id TEXT, -- UUID of the event's agent
    attack_class TEXT, -- of the event
    address TEXT, -- the source; NULL when the event has none
    at INTEGER NOT NULL, -- when it was decided, us since 1970 UTC, wall clock
    state TEXT NOT NULL CHECK (state IN ('planned', 'added', 'removed', 'refused', 'failed')),
    reason TEXT NOT NULL, -- why it was done, or why not
    dry_run INTEGER NOT NULL, -- 1: only said, nothing was done
    table_name TEXT, -- nftables table, family inet
    set_name TEXT, -- set in it
    timeout_s INTEGER, -- for how long
    expires_at INTEGER, -- when the kernel lets it go by itself
    added_at INTEGER, -- when it came into force; NULL: it never did
    ended_at INTEGER, -- when it stopped being in force, or being planned
    ended_by TEXT, -- timeout, undo, gone (from the firewall), protected: ..., interrupted
    nft_output TEXT -- what nft said, when it said something
) STRICT;
CREATE INDEX idx_actions_event ON actions(event_id);
CREATE INDEX idx_actions_open ON actions(address)
    WHERE ended_at IS NULL AND state IN ('planned', 'added');
CREATE INDEX idx_actions_at ON actions(at);
"""


class Action(NamedTuple):
    """One row of the journal."""

    id: int
    event_id: str | None
    agent_id: str | None
    attack_class: str | None
    address: str | None
    at: int
    state: str
    reason: str
    dry_run: int
    table_name: str | None
    set_name: str | None
    timeout_s: int | None
    expires_at: int | None
    added_at: int | None
    ended_at: int | None
    ended_by: str | None
    nft_output: str | None

    @property
    def in_force(self) -> bool:
        """Put into the firewall, and as far as the journal knows still there."""
        return self.state == "added" and self.ended_at is None


class Outcome(NamedTuple):
    """What really happened about an event, for its columns of the same names."""

    action_taken: str
    blocked: bool


COLUMNS = ", ".join(Action._fields)
SELECT = f"SELECT {COLUMNS} FROM actions"  # noqa: S608
INSERT = (
    f"INSERT INTO actions ({', '.join(Action._fields[1:])})"  # noqa: S608
    f" VALUES ({', '.join('?' * (len(Action._fields) - 1))})"
)
TRIM = f"""
    DELETE FROM actions WHERE id <= (SELECT max(id) FROM actions) - {MOST}
    AND NOT (ended_at IS NULL AND state IN ('planned', 'added'))
"""  # noqa: S608


def journal_path(store: str) -> str:
    """Where the journal of a store is when nobody says otherwise: beside it."""
    return f"{store}.response"


class Journal:
    """Actions, over an open database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # ---- reading

    def actions_for(self, event_id: str) -> list[Action]:
        """All about one event, oldest first."""
        return self._read(f"{SELECT} WHERE event_id = ? ORDER BY id", event_id)

    def newest(self, limit: int) -> list[Action]:
        """Newest first."""
        return self._read(f"{SELECT} ORDER BY id DESC LIMIT ?", limit)

    def open(self, *, dry_run: bool) -> list[Action]:
        """What is planned or in force."""
        where = "ended_at IS NULL AND state IN ('planned', 'added') AND dry_run = ?"
        return self._read(f"{SELECT} WHERE {where} ORDER BY id", int(dry_run))

    def count_since(self, at: int, *, dry_run: bool) -> int:
        """Blocks decided since `at` (us)."""
        sql = "SELECT count(*) FROM actions WHERE at > ? AND dry_run = ? AND state != 'refused'"
        return int(self._db.execute(sql, (at, int(dry_run))).fetchone()[0])

    def is_undone(self, event_id: str) -> bool:
        """Whether the operator took back what was done about this event."""
        sql = "SELECT 1 FROM actions WHERE event_id = ? AND ended_by = 'undo' LIMIT 1"
        return self._db.execute(sql, (event_id,)).fetchone() is not None

    def is_told(self, action: Action) -> bool:
        """Whether the same refusal of the same event is there already."""
        sql = """
            SELECT 1 FROM actions WHERE event_id = ? AND state = ? AND address IS ? AND reason = ?
            AND dry_run = ? LIMIT 1
        """
        same = (action.event_id, action.state, action.address, action.reason, action.dry_run)
        return self._db.execute(sql, same).fetchone() is not None

    def _read(self, sql: str, *bound: object) -> list[Action]:
        return [Action._make(row) for row in self._db.execute(sql, bound)]

    # ---- writing

    def write(self, actions: Iterable[Action]) -> list[Action]:
        """Appends them in one transaction; the same with their ids."""
        written = []
        with self._transaction():
            for action in actions:
                cursor = self._db.execute(INSERT, action[1:])
                written.append(action._replace(id=cursor.lastrowid or 0))
            self._db.execute(TRIM)
        return written

    def change(self, actions: Iterable[Action]) -> None:
        """Keeps what became of actions that were written, in one transaction."""
        sql = """
            UPDATE actions SET state = ?, added_at = ?, expires_at = ?, ended_at = ?, ended_by = ?,
                               nft_output = ? WHERE id = ?
        """
        with self._transaction():
            for a in actions:
                output = None if a.nft_output is None else a.nft_output[:MOST_OUTPUT]
                ended = a.ended_at, a.ended_by
                self._db.execute(sql, (a.state, a.added_at, a.expires_at, *ended, output, a.id))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self._db.execute("COMMIT")


class JournalFile(Journal):
    """The journal for its writers; made new (mode 0640) when there is none.

    `with journal.held():` around a decision and its deed, so that the daemon and a command given
    by hand take turns. Errors: CannotWrite and NoPermission, in one line.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with ExitStack() as stack, self._explained():
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            stack.callback(os.close, self._lock)
            # Made by us, so that its mode is ours; SQLite gives its log the same.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
            db = stack.enter_context(
                closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_S))
            )
            super().__init__(db)
            with self.held():
                self._prepare()
            self._open = stack.pop_all()

    def _prepare(self) -> None:
        db = self._db
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(
                f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {VERSION}; COMMIT;"
            )
        check(db, self.path)
        db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else decides or acts meanwhile."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            with self._explained():
                yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise NoPermission(one_line(f"{self.path}: permission denied")) from error
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotWrite(one_line(f"{self.path}: {reason.lower()}")) from error


@contextmanager
def open_journal(path: str) -> Iterator[Journal]:
    """The journal for readers.

    InputMissing: there is none that may be read. DamagedCapture: it is something else.
    """
    if not Path(path).is_file():
        raise InputMissing(path, "no journal of responses")
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as db:
            check(db, path)
            yield Journal(db)
    except sqlite3.Error as error:
        raise DamagedCapture(path, None, f"not a journal of responses: {error}") from error


def check(db: sqlite3.Connection, path: str) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise DamagedCapture(path, None, "not a journal of responses")
    if db.execute("PRAGMA user_version").fetchone()[0] > VERSION:
        raise DamagedCapture(path, None, "written by a newer sensor")


def outcomes(path: str, event_ids: Iterable[str]) -> dict[str, Outcome]:
    """What came of those events that the journal at `path` knows; none without a journal."""
    try:
        with open_journal(path) as journal:
            known = ((event_id, journal.actions_for(event_id)) for event_id in event_ids)
            return {event_id: outcome(actions) for event_id, actions in known if actions}
    except InputMissing:
        return {}


def outcome(actions: Iterable[Action]) -> Outcome:
    """What an event's `action_taken` and `blocked` are to say: only what really happened."""
    done = [a for a in actions if not a.dry_run and a.added_at is not None]
    if not done:
        return Outcome("none", blocked=False)
    taken = "nft_set_add"
    if all(a.ended_at is not None and a.ended_by != "timeout" for a in done):
        taken += ", nft_set_delete"
    return Outcome(taken, blocked=True)
