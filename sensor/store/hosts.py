"""Whether a connection would leave this machine."""

from ipaddress import ip_address


def is_local(host: str) -> bool:
    """A socket or this machine: every host of a list with commas."""
    return all(
        not name or name.startswith(("/", "@")) or name == "localhost" or is_loopback(name)
        for name in host.split(",")
    )


def is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
