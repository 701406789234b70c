"""How soon the dashboard shows data, what it weighs, how long another agent or range takes.

    python -m tests.bench.web [--agents 60] [--days 30] [--rounds 5]

A made store (per agent one-minute rows of one endpoint for the newest two hours, one an hour for
the days before), a real server in this process and Chromium without a cache. Bias: browser and
server share the machine, and there is no network between them.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic, time_ns
from uuid import UUID

from playwright.sync_api import Page, sync_playwright

from sensor.model.rows import WindowRows
from sensor.store.sqlite import SqliteStore
from tests.api.made import MINUTE, TOKEN, WEB, serving, window

BUILT = Path(__file__).parents[2] / "sensor" / "web"
READY = "document.querySelector('#latency data[data-name=p99_latency_ms]')"
SETTLED = f"() => {READY} && !document.querySelector('#latency .skeleton, #latency .is-old')"
DRAWN = "() => document.querySelector('#latency .chart[data-ready=true]') !== null"


def fill(path: str, agents: int, days: int) -> None:
    now = time_ns() // 1000 // MINUTE * MINUTE
    starts = [now - n * MINUTE for n in range(1, 120)]
    starts += [now - n * 60 * MINUTE for n in range(2, days * 24)]
    with SqliteStore(path) as store:
        for number in range(agents):
            agent = str(UUID(int=number + 1, version=4))
            for n, at in enumerate(reversed(starts)):
                made = window(at, {WEB: [20_000 + number * 100 + n % 50] * 20})
                store.write_window(of_agent(made, agent))
            print(f"\rfilling: agent {number + 1} of {agents}", end="", file=sys.stderr)
    print(file=sys.stderr)


def of_agent(made: WindowRows, agent: str) -> WindowRows:
    """The same rows of another agent, live; without connections."""
    rows = {
        name: [row._replace(agent_id=agent) for row in getattr(made, name)]
        for name in ("metrics", "bandwidth", "protocols", "latency", "regions", "health")
    }
    run = made.agent._replace(agent_id=agent, source="live")
    return replace(made, agent=run, connections=(), events=[], **rows)


def milliseconds(page: Page, act: Callable[[], None], wait: str) -> float:
    start = monotonic()
    act()
    page.wait_for_function(wait)
    return (monotonic() - start) * 1000


def measure(url: str, rounds: int) -> None:
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        figures, charts, weight = [], [], 0
        for _ in range(rounds):
            context = chromium.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(f"{url}?token={TOKEN}")  # signs in
            page.wait_for_function(DRAWN)
            cold = context.new_cdp_session(page)
            cold.send("Network.enable")
            cold.send("Network.setCacheDisabled", {"cacheDisabled": True})
            sizes: list[float] = []
            cold.on(
                "Network.loadingFinished", lambda e, to=sizes: to.append(e["encodedDataLength"])
            )
            start = monotonic()
            page.goto(url, wait_until="commit")
            page.wait_for_function(f"() => {READY} !== null && {READY}.value !== ''")
            figures.append((monotonic() - start) * 1000)
            page.wait_for_function(DRAWN)
            charts.append((monotonic() - start) * 1000)
            page.wait_for_timeout(1000)
            weight = sum(sizes)
            switches = []
            for name in ("24h", "7d", "30d", "1h"):
                button = page.get_by_role("button", name=name, exact=True)
                switches.append((name, milliseconds(page, button.click, SETTLED)))
            context.close()
        print(f"first figures   median {median(figures):6.0f} ms  worst {max(figures):6.0f} ms")
        print(f"first chart     median {median(charts):6.0f} ms  worst {max(charts):6.0f} ms")
        print(f"page weight     {weight / 1000:.0f} kB on the wire, answers of the API included")
        print("another range   " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in switches))
        chromium.close()


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--agents", type=int, default=60)
    ask.add_argument("--days", type=int, default=30)
    ask.add_argument("--rounds", type=int, default=5)
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "fleet.db")
        fill(path, asked.agents, asked.days)
        print(f"{asked.agents} agents, {asked.days} days: {Path(path).stat().st_size / 1e6:.0f} MB")
        with serving(path, web=BUILT) as address:
            measure(f"http://{address[0]}:{address[1]}/", asked.rounds)


if __name__ == "__main__":
    main()
