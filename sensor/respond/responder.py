"""The responder: looks at what changed, decides, records, acts, and takes back what must not be.

The kernel has the last word on what is in force, the journal on what was decided; nothing that
matters is kept in memory, so it may be killed at any point.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from time import monotonic, time_ns

from sensor.errors import NoPermission, SensorError, UsageError
from sensor.model.address import address_text
from sensor.model.rows import SecurityEventRow
from sensor.respond.journal import Action, JournalFile
from sensor.respond.judge import Verdict, judge, unblockable
from sensor.respond.nft import Firewall, NftError, Present
from sensor.respond.policy import age_us, wanted
from sensor.respond.protected import Protected, parsed
from sensor.respond.settings import Settings
from sensor.store.events import EventFilter
from sensor.store.queries import Reader, open_reader

BATCH = 1000  # events read at once
MOST_WATCHED = 4096  # events at a time; more than that, and those seen first are let go
JUDGED = 64  # events judged in one turn
AGAIN_S = 10  # an event that was refused is looked at again: connections have finished since
US = 1_000_000
SLACK_US = 2 * US  # between our clock and the kernel's whole seconds


def wall_us() -> int:
    return time_ns() // 1000


@dataclass(slots=True)
class Watched:
    """An event that is wanted, and when (monotonic) it is looked at next."""

    event: SecurityEventRow
    due: float


class Responder:
    """Works on one store, by one journal. `now_us`: the wall clock."""

    def __init__(
        self,
        store: str,
        settings: Settings,
        journal: JournalFile,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        self._store = store
        self._settings = settings
        self._journal = journal
        self._firewall = Firewall(settings)
        self._now_us = now_us
        self._seen = 0
        self._watched: dict[str, Watched] = {}
        self.let_go = 0  # events beyond MOST_WATCHED

    def turn(self) -> list[Action]:
        """Once around; what was newly decided or ended. Errors: SensorError, in one line."""
        now = self._now_us()
        with open_reader(self._store) as reader:
            self._read(reader, now)
            with self._journal.held():
                due = self._due()
                undone = {event.id for event in due if self._journal.is_undone(event.id)}
                in_force = self._journal.open(dry_run=False)
            never = unblockable(reader.db, self._settings) if in_force else Protected(())
            verdicts = judge(reader.db, due, self._settings, now, undone)
        with self._journal.held():
            return self._settle(now, never) + self._act(verdicts, now)

    # ---- what changed

    def _read(self, reader: Reader, now: int) -> None:
        upto = reader.events.last_seq()
        if upto < self._seen:  # another file
            self._seen = 0
        longest = self._settings.max_age_s * US
        which = EventFilter(severity=self._settings.min_severity, since=now - longest)
        while True:
            found = reader.events.changed(which, self._seen, upto, BATCH)
            for seq, event in found:
                self._seen = seq
                if wanted(event, self._settings) is None and age_us(event, now) <= longest:
                    self._watched.pop(event.id, None)
                    self._watched[event.id] = Watched(event, due=0)
                    if len(self._watched) > MOST_WATCHED:
                        del self._watched[next(iter(self._watched))]
                        self.let_go += 1
            if len(found) < BATCH:
                break
        self._seen = upto
        for event_id, watched in list(self._watched.items()):
            if age_us(watched.event, now) > longest:
                del self._watched[event_id]

    def _due(self) -> list[SecurityEventRow]:
        """Events to judge: new, changed, or refused a while ago; not those that are answered."""
        answered = {a.address for a in self._journal.open(dry_run=self._settings.dry_run)}
        at = monotonic()
        due = [
            watched
            for watched in self._watched.values()
            if watched.due <= at and watched.event.source_ip not in answered
        ]
        due.sort(key=lambda watched: watched.due)
        for watched in due[:JUDGED]:
            watched.due = at + AGAIN_S
        return [watched.event for watched in due[:JUDGED]]

    # ---- decisions

    def _act(self, verdicts: list[Verdict], now: int) -> list[Action]:
        journal, dry_run = self._journal, self._settings.dry_run
        taken = {a.address for a in journal.open(dry_run=dry_run)}
        used = journal.count_since(now - 3600 * US, dry_run=dry_run)
        decided = []
        for verdict in verdicts:
            if verdict.wish == "block":
                shown = address_text(verdict.address or b"")
                if shown in taken or journal.is_undone(verdict.event.id):
                    continue
                limit = self._limit(used, len(taken))
                if limit is None:
                    taken.add(shown)
                    used += 1
                else:
                    verdict = replace(verdict, wish="refused", reason=limit)
            if verdict.wish == "skipped":
                continue
            action = self._action(verdict, now)
            if action.state == "planned" or not journal.is_told(action):
                decided.append(action)
        written = journal.write(decided)
        if dry_run:
            return written
        planned = [action for action in written if action.state == "planned"]
        return [a for a in written if a.state != "planned"] + self._block(planned)

    def _limit(self, used: int, entries: int) -> str | None:
        if used >= self._settings.max_per_hour:
            return f"limit: {self._settings.max_per_hour} blocks an hour"
        if entries >= self._settings.max_entries:
            return f"limit: {self._settings.max_entries} addresses at a time"
        return None

    def _action(self, verdict: Verdict, now: int) -> Action:
        event, settings, address = verdict.event, self._settings, verdict.address
        blocks = verdict.wish == "block" and address is not None
        shown = event.source_ip if address is None else address_text(address)
        return Action(
            id=0,
            event_id=event.id,
            agent_id=event.agent_id,
            attack_class=event.attack_class,
            address=shown,
            at=now,
            state="planned" if blocks else "refused",
            reason=verdict.reason,
            dry_run=int(settings.dry_run),
            table_name=settings.table if blocks else None,
            set_name=self._firewall.set_of(address) if blocks and address else None,
            timeout_s=settings.timeout_s if blocks else None,
            expires_at=now + settings.timeout_s * US if blocks else None,
            added_at=None,
            ended_at=None,
            ended_by=None,
            nft_output=None,
        )

    def _block(self, planned: list[Action]) -> list[Action]:
        """Planned actions into the firewall, all or none; what became of them."""
        if not planned:
            return []
        blocks = {packed(a): a.timeout_s or 1 for a in planned}
        try:
            present = self._firewall.read()
            if present is not None and present.as_wanted:
                self._firewall.add(blocks)
            else:  # made anew, with what is in it already
                kept = {} if present is None else present.elements
                left = {a: e.expires_s for a, e in kept.items() if e.expires_s > 0}
                self._firewall.make(left | blocks)
        except SensorError as error:
            now = self._now_us()
            failed = [
                a._replace(state="failed", ended_at=now, nft_output=str(error)) for a in planned
            ]
            self._journal.change(failed)
            if isinstance(error, NftError):
                return failed
            raise  # no nft, no privilege, not our table: it will not go away by itself
        now = self._now_us()
        added = [
            a._replace(state="added", added_at=now, expires_at=now + (a.timeout_s or 1) * US)
            for a in planned
        ]
        self._journal.change(added)
        return added

    # ---- what is in force

    def _settle(self, now: int, never: Protected) -> list[Action]:
        """Brings the journal up to date with the kernel; frees whom we must not block any more."""
        over = [
            ended(a, "timeout", a.expires_at or now)
            for a in self._journal.open(dry_run=True)
            if (a.expires_at or 0) <= now
        ]
        in_force = self._journal.open(dry_run=False)
        if self._settings.dry_run:  # the firewall is not ours to touch: the clock must do
            over += [
                ended(a, "timeout", a.expires_at or now)
                for a in in_force
                if a.state == "added" and (a.expires_at or 0) <= now
            ]
        elif in_force:
            over += self._renamed(in_force, now)
            mine = [a for a in in_force if a.table_name == self._settings.table]
            over += self._reconciled(mine, now, never)
        self._journal.change(over)
        return [a for a in over if a.state != "added"]

    def _reconciled(self, actions: list[Action], now: int, never: Protected) -> list[Action]:
        present = self._firewall.read()
        there = {} if present is None else present.elements
        changed, free = [], []
        for action in actions:
            address = packed(action)
            if address not in there:
                if action.state == "planned":  # we were killed in between
                    changed.append(ended(action, "interrupted", now)._replace(state="failed"))
                elif (action.expires_at or 0) <= now + SLACK_US:
                    changed.append(ended(action, "timeout", action.expires_at or now))
                else:
                    changed.append(ended(action, "gone", now))
            elif reason := never.why(address):
                free.append(address)
                changed.append(ended(action, f"protected: {reason}", now))
            elif action.state == "planned":
                changed.append(action._replace(state="added", added_at=action.at))
        if free:
            self._firewall.remove(free)
        return changed

    def _renamed(self, actions: list[Action], now: int) -> list[Action]:
        """Settings gave our table another name: the old one goes."""
        old = [a for a in actions if a.table_name != self._settings.table]
        for name in {a.table_name for a in old}:
            firewall = Firewall(replace(self._settings, table=name or ""))
            if firewall.read() is not None:
                firewall.clear()
        return [ended(a, "gone", now) for a in old]

    # ---- taken back by hand

    def undo(self, addresses: Iterable[bytes] | None) -> list[Action]:
        """Takes back the blocks of these addresses, or of all (None) and our table with them.

        The same event never blocks them again. What is in our sets but not in the journal goes too.
        """
        now = self._now_us()
        wanted = None if addresses is None else set(addresses)
        with self._journal.held():
            known = [
                action
                for dry_run in (True, False)
                for action in self._journal.open(dry_run=dry_run)
                if wanted is None or packed(action) in wanted
            ]
            real = {packed(action) for action in known if not action.dry_run}
            present = self._look(must=bool(real) or not known)
            there = set() if present is None else set(present.elements)
            gone = there if wanted is None else there & wanted
            if wanted is None and present is not None:
                self._firewall.clear()
            elif gone:
                self._firewall.remove(gone)
            done = [ended(action, "undo", now) for action in known]
            self._journal.change(done)
            strangers = sorted(gone - real)
            return done + self._journal.write(self._stranger(a, now) for a in strangers)

    def _look(self, *, must: bool) -> Present | None:
        """What is in the firewall; what was only planned is forgotten without asking it."""
        try:
            return self._firewall.read()
        except (NoPermission, UsageError):
            if must:
                raise
            return None

    def _stranger(self, address: bytes, now: int) -> Action:
        settings, set_name = self._settings, self._firewall.set_of(address)
        return Action(
            0, None, None, None, address_text(address), now, "removed", "not in the journal",
            0, settings.table, set_name, None, None, None, now, "undo", None,
        )  # fmt: skip


def packed(action: Action) -> bytes:
    """The address of an action that has one."""
    return parsed(action.address) or b""


def ended(action: Action, by: str, at: int) -> Action:
    return action._replace(state="removed", ended_at=at, ended_by=by)
