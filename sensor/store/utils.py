"""sqlite-utils without pandas, which it imports where it finds it and which we have no use for.

pandas takes half a second, and its pyarrow starts a thread, which would keep the privileges that
the daemon gives up thread by thread.
"""

import sys

IN_THE_WAY = "pandas"

had = sys.modules.get(IN_THE_WAY)
sys.modules[IN_THE_WAY] = None  # type: ignore[assignment]
try:
    from sqlite_utils import Database, Migrations
finally:
    if had is None:
        del sys.modules[IN_THE_WAY]
    else:
        sys.modules[IN_THE_WAY] = had

__all__ = ["Database", "Migrations"]
