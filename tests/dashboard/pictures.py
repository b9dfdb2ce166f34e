"""The pictures of the README: `python -m tests.dashboard.pictures` makes them anew in docs/pictures/ with the Chromium of this machine.

Fonts differ between machines, so they are compared by nobody; a test makes them too, which shows that they can be made.
"""

import shutil
from pathlib import Path
from typing import Any

from reconciler.controller.actions import Actions
from tests.dashboard.scene import Known, door, home, sign_in
from tests.dashboard.scenery import fill
from tests.shell import client

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SHOWN = {
    "overview": ("/", "light", 660),
    "cluster": ("/clusters/payments", "light", 760),
    "cost": ("/cost", "dark", 660),
}
"""Name -> page, colours, height in pixels."""
WIDTH = 1000


def make(browser: Any, folder: Path) -> None:
    """Each picture as NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    known, server = fill(Known()), home()
    known.actions = Actions(client(server), "nidus-system", tuple)
    with known.served(door(server)) as url:
        context = browser.new_context()
        entry = context.new_page()
        entry.goto(f"{url}/sign-in")
        sign_in(entry)
        entry.wait_for_selector("h1:text('Clusters')")
        for name, (path, scheme, height) in SHOWN.items():
            page = context.new_page()
            page.set_viewport_size({"width": WIDTH, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.goto(url + path)
            page.wait_for_selector("text=Live")
            page.screenshot(path=str(folder / f"{name}.png"))
            page.close()
        context.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        make(browser, FOLDER)
        browser.close()
    print(
        "\n".join(f"{one.relative_to(Path.cwd())}: {one.stat().st_size} bytes" for one in sorted(FOLDER.glob("*.png")))
    )


if __name__ == "__main__":
    main()
