"""The agents of this host: whose packets, from which interfaces, marked with what."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import NAMESPACE_DNS, UUID, uuid5

from sensor.capture.live import Interface, Wanted, is_of, is_up
from sensor.capture.portable import PortableInterface
from sensor.config import Config, OtherAgent
from sensor.errors import UsageError
from sensor.flow.locality import Local, given
from sensor.model.address import prefix_text
from sensor.programs.daemon import AgentPlan
from sensor.programs.interfaces import interfaces
from sensor.programs.notify import Notifier, kept
from sensor.respond.netlink import host_addresses

MACHINE_ID = Path("/etc/machine-id")


def plans_of(settings: Config, notifier: Notifier, stack: ExitStack) -> list[AgentPlan]:
    """The host's agent and those of `[[agents]]`; a packet belongs to the host's when to no other.

    Interfaces are closed with `stack`.
    """
    inherited = InheritedSockets(settings, notifier)
    stack.callback(inherited.close_rest)
    host = settings.agent
    host_id = str(UUID(host.id)) if host.id else machine_agent()
    hostname = socket.gethostname()
    names = settings.capture.interfaces or everything_up()
    of_others = {name for other in settings.agents for name in other.interfaces}
    plans = []
    for agent in (None, *settings.agents):
        wanted = wanted_by(settings, agent)
        if agent is None:
            mine = tuple(name for name in names if name not in of_others)
            local = own(settings.capture.local)
        else:
            mine = agent.interfaces or names
            local = given(agent.prefixes) if agent.prefixes else own(settings.capture.local)
        opened = [
            stack.enter_context(closing(interface))
            for name in mine
            for interface in inherited.interfaces(agent.name if agent else "", name, wanted)
        ]
        if opened:
            plans.append(
                AgentPlan(
                    name=agent.name if agent else hostname,
                    agent_id=agent_id(agent, host_id),
                    workspace=(agent.workspace if agent else "") or host.workspace,
                    network=host.network,
                    region=host.region,
                    local=local,
                    interfaces=opened,
                    hostname=hostname,
                )
            )
    return plans


def wanted_by(settings: Config, agent: OtherAgent | None) -> Wanted:
    """Whose packets they are, as a filter."""
    parts = [settings.capture.filter] if settings.capture.filter else []
    if agent is not None:
        if agent.prefixes:
            parts.append(" or ".join(f"net {prefix}" for prefix in agent.prefixes))
        return Wanted(joined(parts), vlan=agent.vlan)
    by_interface = [other for other in settings.agents if other.interfaces]
    others = [other for other in settings.agents if other not in by_interface]
    for other in others:
        if other.prefixes and not other.vlan:
            parts += [f"not net {prefix}" for prefix in other.prefixes]
    vlans = tuple(other.vlan for other in others if other.vlan and not other.prefixes)
    return Wanted(joined(parts), other_vlans=vlans)


def joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)


def agent_id(agent: OtherAgent | None, host_id: str) -> str:
    """Its own, or one made of the host's and its name."""
    if agent is None:
        return host_id
    return str(UUID(agent.id)) if agent.id else str(uuid5(UUID(host_id), agent.name))


class InheritedSockets:
    """Sockets that the service manager kept, by the interface and ring they are for."""

    def __init__(self, settings: Config, notifier: Notifier) -> None:
        self._capture = settings.capture
        self._notifier = notifier
        self._kept = kept()

    def interfaces(
        self, agent: str, name: str, wanted: Wanted
    ) -> Iterator[Interface | PortableInterface]:
        """One for each worker: opened, or taken over with its ring; kept for the next run.

        UsageError: several workers without a ring of ours.
        """
        capture = self._capture
        if capture.method == "libpcap" or not (
            capture.method == "ring" or hasattr(socket, "AF_PACKET")
        ):
            if capture.workers > 1:
                raise UsageError("several workers need capture.method = ring")
            yield PortableInterface(
                name, wanted, promiscuous=capture.promiscuous, ring_mib=capture.ring_mib
            )
            return
        keys = [self._key(agent, name, share) for share in range(capture.workers)]
        found = [self._take(key) for key in keys]
        if capture.workers > 1 and not all(one and is_of(name, one) for one in found):
            for key, one in zip(keys, found, strict=True):
                if one:
                    self._notifier.forget(key)
                    one.close()
            found = [None for _ in keys]
        first: Interface | None = None
        opened = []
        for share, (key, inherited) in enumerate(zip(keys, found, strict=True)):
            made = Interface(
                name,
                wanted,
                promiscuous=capture.promiscuous,
                ring_mib=capture.ring_mib,
                hold=capture.hold,
                inherited=inherited,
                share=share,
                first=first,
                shares=capture.workers,
            )
            first = first or made
            opened.append(made)
            if inherited is None:
                self._notifier.keep(key, made.fileno())
        for made in opened:
            made.choose(wanted)  # all at once, when every share has a place to go to
        yield from opened

    def _key(self, agent: str, name: str, share: int) -> str:
        capture = self._capture
        key = f"ring.{name}.{agent}.{capture.ring_mib}"
        return key if capture.workers == 1 else f"{key}.{share}of{capture.workers}"

    def _take(self, key: str) -> socket.socket | None:
        found = self._kept.pop(key, [])
        return socket.socket(fileno=found.pop()) if found else None

    def close_rest(self) -> None:
        """Of settings that are no more."""
        for key, descriptors in self._kept.items():
            self._notifier.forget(key)
            for descriptor in descriptors:
                os.close(descriptor)
        self._kept.clear()


def everything_up() -> tuple[str, ...]:
    """Interfaces that are up, without the loopback; UsageError when there are none."""
    found = tuple(
        i.name for i in interfaces() if i.kind in ("physical", "virtual") and is_up(i.name)
    )
    if not found:
        raise UsageError("no interface is up: name one with -i (see `sensor interfaces`)")
    return found


def machine_agent() -> str:
    """This host's agent: the same as long as /etc/machine-id is."""
    try:
        return str(uuid5(NAMESPACE_DNS, MACHINE_ID.read_text().strip()))
    except OSError:
        return str(uuid5(NAMESPACE_DNS, socket.gethostname()))


def own(prefixes: tuple[str, ...]) -> Local:
    """What was given; else the addresses of this host. UsageError: no prefix."""
    try:
        return given(prefixes or tuple(prefix_text(p) for p in sorted(host_addresses().own)))
    except ValueError as error:
        raise UsageError(f"local prefixes: {error}") from error
