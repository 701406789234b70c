"""Ships in this process."""

from contextlib import closing

from sensor.ship.exporters import open_destination
from sensor.ship.outbox import Outbox
from sensor.ship.shipper import Shipper


def ship(path: str, url: str, said: list[str] | None = None) -> Shipper:
    """All that the database has now."""
    say = print if said is None else said.append
    with closing(open_destination(url)) as destination:
        tables = destination.tables
        with closing(Outbox(path, destination.name, tables)) as outbox:
            shipper = Shipper(outbox, destination, say)
            shipper.once()
            return shipper
