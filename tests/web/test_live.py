"""While a sensor writes: new windows, alerts that are said once, a server that goes and comes back,
strings that attackers chose."""

import json
from dataclasses import replace
from pathlib import Path
from time import time_ns

import pytest

from sensor.store.sqlite import SqliteStore
from tests.api.made import MINUTE, WEB, serving, window
from tests.unit.store.made import agent, event
from tests.unit.store.made import metrics as row_of
from tests.web.conftest import WEB as BUILT
from tests.web.conftest import Open, Served

pytestmark = pytest.mark.system
HOSTILE = "\"><img src=x onerror='window.hit=1'><script>window.hit=1</script>\u202e{{7*7}}"
P99 = '#latency data[data-name="p99_latency_ms"]'
SLOW = f"() => Number(document.querySelector('{P99}').value) > 800"
CALM, BAD = [20_000] * 30, [900_000] * 30  # us


def now_us() -> int:
    """Start of the present minute."""
    return time_ns() // 1000 // MINUTE * MINUTE


def live_window(at: int, samples: list[int], n: int = 0, lost: int = 0):
    made = window(at, {WEB: samples}, n)
    rows = [row._replace(packets_lost=lost, data_segments=100) for row in made.metrics]
    return replace(made, agent=made.agent._replace(source="live"), metrics=rows)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A live agent's last ten minutes, but for the newest."""
    made = str(tmp_path / "live.db")
    with SqliteStore(made) as store:
        for n in range(10):
            store.write_window(live_window(now_us() - (11 - n) * MINUTE, CALM))
    return made


def write(path: str, *args: object, **more: object) -> None:
    with SqliteStore(path) as store:
        store.write_window(live_window(*args, **more))  # type: ignore[arg-type]


def test_new_windows_and_alerts_that_do_not_repeat(path: str, page: Open) -> None:
    with serving(path, web=BUILT) as address:
        shown = page(Served(address))
        shown.locator(".live").get_by_text("ago").wait_for()  # the newest window was told
        toasts = shown.locator(".toast")
        assert toasts.count() == 0
        at = now_us() - MINUTE
        write(path, at, BAD, 10, 5)  # slow and lossy, and an event: window() has one at 10
        for kind in ("latency", "loss", "threat"):
            shown.locator(f'.toast[data-kind="{kind}"]').wait_for()
        p99 = shown.locator(P99)
        shown.wait_for_function(SLOW)
        assert float(p99.get_attribute("value")) == pytest.approx(900, rel=0.01)
        for _ in range(toasts.count()):
            toasts.first.get_by_label("Put away").click()
        write(path, at + MINUTE, BAD, 0, 5)  # goes on: no news
        shown.locator("#health data[data-name=windows][value='12']").wait_for()
        assert toasts.count() == 0
        shown.reload()
        shown.locator(".live").get_by_text("ago").wait_for()
        assert shown.locator('.toast[data-kind="threat"]').count() == 0  # said before
        shown.context.close()


def test_a_server_that_comes_back(path: str, page: Open) -> None:
    with serving(path, web=BUILT) as address:
        served = Served(address)
        shown = page(served, away=True)
        shown.locator('.live[data-state="open"]').wait_for()
        shown.locator("#geography canvas").first.wait_for()  # the map comes in a file of its own
    shown.locator('.live[data-state="waiting"]').wait_for()
    write(path, now_us(), BAD)
    with serving(path, web=BUILT, port=address[1]):
        shown.locator('.live[data-state="open"]').wait_for(timeout=60_000)
        shown.wait_for_function(
            SLOW,
            timeout=60_000,
        )


def hostile_window(at: int):
    made = live_window(at, CALM)
    evil = row_of(f"{HOSTILE}:443/tcp", at, CALM, region="CH")
    said = event(1, at)._replace(
        source_ip=None, evidence=json.dumps({"sources": [HOSTILE]}), title=HOSTILE,
        mitigation=HOSTILE,
    )  # fmt: skip
    return replace(
        made,
        agent=agent(at)._replace(hostname=HOSTILE, source="live", version=HOSTILE),
        metrics=[*made.metrics, evil],
        events=[said],
    )


def test_hostile_strings_are_text(tmp_path: Path, page: Open) -> None:
    path = str(tmp_path / "hostile.db")
    with SqliteStore(path) as store:
        for n in range(10):
            store.write_window(hostile_window(now_us() - (10 - n) * MINUTE))
    with serving(path, web=BUILT) as address:
        shown = page(Served(address))
        shown.locator("#endpoints").get_by_text("onerror=").first.wait_for()
        shown.locator("#threats tr[data-event] button").first.click()
        shown.get_by_role("dialog").get_by_text("onerror=").first.wait_for()
        shown.keyboard.press("Escape")
        for card in ("topology", "latency", "geography"):
            shown.locator(f"#{card}").hover()
        assert shown.evaluate("window.hit") is None
        assert shown.locator("img").count() == 0
        assert "\u202e" not in shown.locator("body").inner_text()
        shown.context.close()


def test_a_store_without_rows_says_how_to_begin(tmp_path: Path, page: Open) -> None:
    path = str(tmp_path / "empty.db")
    with SqliteStore(path):
        pass
    with serving(path, web=BUILT) as address:
        shown = page(Served(address))
        shown.locator(".welcome").get_by_text("sensor").first.wait_for()
        shown.context.close()


def test_without_a_token_nothing_is_shown(path: str, browser: object) -> None:
    with serving(path, web=BUILT) as address:
        shown = browser.new_context().new_page()  # type: ignore[attr-defined]
        shown.goto(Served(address).url)
        shown.get_by_text("token").first.wait_for()
        assert shown.locator("data").count() == 0
        shown.context.close()
