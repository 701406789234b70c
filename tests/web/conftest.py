"""A real browser on a real server. A page that says anything on its console, or asks anybody but
its own server, fails its test."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.made import TOKEN, serving

playwright = pytest.importorskip("playwright.sync_api", reason="no browser driver: playwright")
WEB = Path(__file__).parents[2] / "sensor" / "web"
OPTIONS = ["--no-sandbox", "--disable-gpu"]  # root in CI; no display
MAY_FAIL = re.compile("Failed to load resource|WebSocket connection to")  # while a server is away


class Served:
    """A dashboard over one store."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.url = f"http://{address[0]}:{address[1]}/"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The hour of `sensor demo`, by the command itself."""
    capture = tmp_path_factory.mktemp("demo") / "demo.pcap"
    command = [sys.executable, "-m", "sensor", "demo", "--out", str(capture)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    with serving(f"{capture}.db", web=WEB) as address:
        yield Served(address)


@pytest.fixture(scope="session")
def browser() -> Iterator["playwright.Browser"]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no browser: apt-get install chromium")
    if not (WEB / "index.html").exists():
        pytest.skip("the dashboard is not built: make dashboard")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()


Open = Callable[..., "playwright.Page"]


@pytest.fixture
def page(browser: "playwright.Browser") -> Iterator[Open]:
    """Opens a page of a served dashboard, signed in: `page(served, "#hash or ?query", width=390)`.

    `away=True`: its server goes away during the test, of which the browser may complain.
    """
    contexts, said, asked = [], [], []

    def opened(
        served: Served, query: str = "", *, width: int = 1280, away: bool = False
    ) -> "playwright.Page":
        context = browser.new_context(
            viewport={"width": width, "height": 900}, timezone_id="Asia/Kolkata"
        )
        contexts.append(context)
        new = context.new_page()
        new.on("pageerror", lambda error: said.append(str(error)))
        new.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))

        def console(message: "playwright.ConsoleMessage") -> None:
            if message.type in ("error", "warning") and not (
                away and MAY_FAIL.search(message.text)
            ):
                said.append(message.text)

        def request(request: "playwright.Request") -> None:
            if not request.url.startswith((served.url, "data:", "blob:")):
                asked.append(request.url)

        new.on("console", console)
        new.on("request", request)
        new.goto(f"{served.url}?token={TOKEN}")
        if query:
            new.goto(served.url + query)
        return new

    yield opened
    for context in contexts:
        context.close()
    assert not said
    assert not asked
