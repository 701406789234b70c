"""Pictures of the dashboard in its states, into a folder (default docs/pictures).

    python -m tests.web.screenshots [FOLDER]

An hour of `sensor demo`; Chromium draws. PNG with 256 colours, so that the repository stays small.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from sensor.store.sqlite import SqliteStore
from tests.api.made import TOKEN, serving

WEB = Path(__file__).parents[2] / "sensor" / "web"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SETTLED_MS = 60_000


def settle(page: Page) -> None:
    """Every card has its figures, every chart is drawn."""
    page.locator("#slo data").first.wait_for(timeout=SETTLED_MS)
    page.locator(".skeleton").first.wait_for(state="detached", timeout=SETTLED_MS)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.chart')].every(one => one.dataset.ready === 'true')",
        timeout=SETTLED_MS,
    )
    page.wait_for_timeout(500)


def keep(page: Page, path: Path, *, whole: bool) -> None:
    page.screenshot(path=path, full_page=whole)
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size // 1000} kB")


def draw(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work, sync_playwright() as driver:
        capture = Path(work) / "demo.pcap"
        subprocess.run(
            [sys.executable, "-m", "sensor", "demo", "--out", str(capture)],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        empty = str(Path(work) / "empty.db")
        with SqliteStore(empty):
            pass
        chromium = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        with serving(f"{capture}.db", web=WEB) as address:
            url = f"http://{address[0]}:{address[1]}/"
            for name, size, scheme, whole in (
                ("dashboard-dark", WIDE, "dark", True),
                ("dashboard-light", WIDE, "light", True),
                ("dashboard-narrow", NARROW, "dark", True),
                ("attack", WIDE, "dark", False),
            ):
                page = chromium.new_page(viewport=size, color_scheme=scheme)
                page.goto(f"{url}?token={TOKEN}")
                settle(page)
                if name == "attack":
                    page.locator("#threats tr[data-event] button").first.click()
                    page.get_by_role("dialog").wait_for()
                    page.wait_for_timeout(500)
                keep(page, folder / f"{name}.png", whole=whole)
                page.close()
        with serving(empty, web=WEB) as address:
            page = chromium.new_page(viewport=WIDE, color_scheme="light")
            page.goto(f"http://{address[0]}:{address[1]}/?token={TOKEN}")
            page.locator(".welcome").wait_for()
            keep(page, folder / "empty.png", whole=False)
        chromium.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures"))
