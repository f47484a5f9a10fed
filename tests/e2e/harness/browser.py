"""The real front end in the system's Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .client import Client

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-dev-shm-usage", "--no-first-run", "--disable-sync", "--disable-default-apps",
]  # fmt: skip
SCREEN = {"width": 2000, "height": 1100}
READY = "() => window.app && window.app.graph && window.LiteGraph?.registered_node_types?.['KSampler']"
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}
PATIENCE = 120_000  # ms; 12 s where nobody else uses the machine


def chromium() -> str | None:
    """The path of a Chromium-like browser: env ``FIGURA_CHROMIUM``, or the first on the PATH."""
    named = os.environ.get("FIGURA_CHROMIUM")
    return named or next((found for name in CHROMIUM if (found := shutil.which(name))), None)


class Page:
    """One open page of the front end. ``troubles`` collects uncaught errors and console errors."""

    def __init__(self, page, url: str) -> None:
        self.page, self.url = page, url
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(f"pageerror: {error.stack or error}"))
        page.on("console", self._console)
        page.route("**/*", self._local_only)

    def open(self) -> None:
        """Go to the page and wait until its nodes are registered and its own start is over."""
        self.page.goto(self.url, wait_until="domcontentloaded", timeout=PATIENCE)
        self.page.wait_for_function(READY, timeout=PATIENCE)
        self.page.wait_for_timeout(1500)

    def load(self, workflow: dict) -> list[dict]:
        """Open ``workflow``; returns its nodes as the page has them."""
        self.page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
        self.page.wait_for_timeout(1500)
        return self.page.evaluate(NODES)

    def prompt(self) -> dict[str, dict]:
        """The API form that the page would queue."""
        return self.page.evaluate("async () => (await window.app.graphToPrompt()).output")

    def saved(self) -> dict:
        """The UI form that the page would save."""
        return self.page.evaluate("async () => (await window.app.graphToPrompt()).workflow")

    def show_all(self) -> None:
        """Close what covers the canvas and fit the graph into the view."""
        self.page.keyboard.press("Escape")
        self.page.evaluate(FIT)
        self.page.wait_for_timeout(700)

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))

    def our_troubles(self, folder: str) -> list[str]:
        """Errors that name our files or nodes; the front end has a few of its own."""
        return [line for line in self.troubles if folder in line or "Figura" in line]

    def _console(self, message) -> None:
        if message.type == "error":
            self.troubles.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _local_only(self, route) -> None:
        local = route.request.url.startswith((self.url, "data:", "blob:"))
        route.continue_() if local else route.abort()


@contextmanager
def opened(url: str, vue_nodes: bool | None = None) -> Iterator[Page]:
    """A page of the front end at ``url``; ``vue_nodes`` chooses the renderer where there are two."""
    from playwright.sync_api import sync_playwright

    client = Client(url)
    for key, value in SETTINGS.items():
        client.post(f"/settings/{key}", value)
    if vue_nodes is not None:
        client.post("/settings/Comfy.VueNodes.Enabled", vue_nodes)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)
        try:
            page = Page(browser.new_page(viewport=SCREEN), url)
            page.open()
            yield page
        finally:
            browser.close()


NODES = """() => window.app.graph._nodes.map(node => ({
    id: String(node.id), type: node.type, known: !!window.LiteGraph.registered_node_types[node.type],
    errors: !!node.has_errors, pos: [...node.pos], size: [...node.size], least: [...node.computeSize()],
    widgets: (node.widgets || []).map(w => [w.name, w.type, w.value]),
}))"""

FIT = """() => {
    const canvas = window.app.canvas, graph = window.app.graph, ds = canvas.ds;
    const boxes = graph._nodes.map(n => [n.pos[0], n.pos[1] - 34, n.pos[0] + n.size[0], n.pos[1] + n.size[1]])
        .concat((graph._groups || []).map(
            g => [g.pos[0], g.pos[1], g.pos[0] + g.size[0], g.pos[1] + g.size[1]]));
    const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1]));
    const right = Math.max(...boxes.map(b => b[2])), bottom = Math.max(...boxes.map(b => b[3]));
    const view = canvas.canvas.getBoundingClientRect();
    ds.scale = Math.min((view.width - 120) / (right - left), (view.height - 190) / (bottom - top), 1);
    ds.offset[0] = (view.left > 0 ? 30 : 80) / ds.scale - left;
    ds.offset[1] = 110 / ds.scale - top;
    canvas.low_quality_zoom_threshold = 0;  // draw text however small: these pictures are for reading
    canvas.min_font_size_for_lod = 0;
    canvas.setDirty(true, true);
}"""
