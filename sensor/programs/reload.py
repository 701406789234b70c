"""SIGHUP: a changed configuration and changed rules, as far as a running daemon can take them."""

from collections.abc import Callable, Iterator

from sensor.capture.live import Wanted
from sensor.config import Config
from sensor.errors import UsageError
from sensor.programs.agents import wanted_by
from sensor.programs.daemon import AgentPlan, Daemon
from sensor.programs.detection import shipped_rules

# The rest waits for a restart.
RELOADED = {("capture", "filter"), ("detection", "rules")}


class Reloader:
    """Puts a changed configuration in force as far as a running daemon can."""

    def __init__(self, daemon: Daemon, settings: Config, read: Callable[[], Config]) -> None:
        self._daemon = daemon
        self._settings = settings
        self._read = read

    def reload(self) -> str:
        """What was done; SensorError: why nothing was, and the old settings stay."""
        new = self._read()
        rules = shipped_rules(new.detection.rules or None)
        if rules.errors:
            raise UsageError(str(rules.errors[0]))
        wanted = {
            agent.name if agent else "": wanted_by(new, agent) for agent in (None, *new.agents)
        }
        programs = [
            (interface, wanted.get(self._name(lane.plan), Wanted()))
            for lane in self._daemon.lanes
            for interface in lane.plan.interfaces
        ]
        for _, wish in programs:
            wish.program(1)  # all of them, before any is put in force
        for interface, wish in programs:
            interface.choose(wish)
        self._daemon.change_rules(rules)
        waiting = [
            f"{table}.{key}"
            for table, key in changed(self._settings, new)
            if (table, key) not in RELOADED
        ]
        self._settings = new
        after = f"; after a restart: {', '.join(waiting)}" if waiting else ""
        return f"{len(rules.rules)} rules{after}"

    def _name(self, plan: AgentPlan) -> str:
        return plan.name if any(plan.name == other.name for other in self._settings.agents) else ""


def changed(old: Config, new: Config) -> Iterator[tuple[str, str]]:
    """(table, key) of what differs."""
    for table in Config.__struct_fields__:
        before, after = getattr(old, table), getattr(new, table)
        if isinstance(before, tuple):
            if before != after:
                yield table, "*"
            continue
        for key in before.__struct_fields__:
            if getattr(before, key) != getattr(after, key):
                yield table, key
