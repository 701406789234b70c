"""`python -I -S cost.py SECONDS COMMAND...`: what a command costs, as JSON on the last line.

A process of its own, and a small one: Linux counts as a command's peak memory what its parent had
when it was started.
"""

import json
import os
import subprocess
import sys
import time
from threading import Timer

if __name__ == "__main__":
    limit = float(sys.argv[1])
    start = time.perf_counter()
    process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
    late = Timer(limit, process.kill)
    late.start()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    late.cancel()
    cost = [wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
    print(json.dumps({"status": os.waitstatus_to_exitcode(status), "cost": cost}))
