"""Pages of the playground, of which everything that goes wrong is written down."""

import re
from typing import Any
from urllib.parse import urlsplit

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.http.server import Server

OPERATOR = "a-key-of-the-operator"
"""May do everything."""

VISITOR = "a-key-of-a-visitor"
"""May use france and alpha, not the base, and administers nothing."""

WAIT_MS = 60_000
"""For a condition; the longest is an answer of the model."""


class Visits:
    """Opens pages in contexts of their own.

    Attributes:
        problems: errors on the console, uncaught exceptions and requests to other hosts.
    """

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.problems: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []

    def __call__(self, fragment: str = "", key: str | None = OPERATOR, **options: Any) -> Page:
        """A page with a key in its tab, if any, at a fragment such as `#/chat`.

        Args:
            fragment: what follows `/playground`.
            key: kept in the tab as if somebody had typed it.
            options: of the browser's context: viewport, color_scheme.
        """
        context = self._browser.new_context(**options)
        context.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        self._contexts.append(context)
        if key is not None:
            context.add_init_script(f"sessionStorage['lethe.key'] ??= '{key}'")
        page = context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("request", self._asked)
        page.goto(f"{self.server.url}/playground{fragment}")
        page.wait_for_selector("main h1")
        return page

    def expect(self, pattern: str) -> None:
        """Lets errors on the console pass that match, such as `status of 401`."""
        self._expected.append(pattern)

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(
            re.search(pattern, message.text) for pattern in self._expected
        ):
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and (
            f"{address.scheme}://{address.netloc}" != self.server.url
        ):
            self.problems.append(f"another host: {request.url}")


def as_operator(server: Server) -> httpx.Client:
    """A client beside the browser, for what a test compares with or sets up."""
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=300)


def check_accessible(page: Page) -> None:
    """Fails with what axe finds wrong with a page as it is now."""
    found = Axe().run(page).response["violations"]
    said = [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]
    assert said == []


def check_no_sideways_scroll(page: Page) -> None:
    """Fails if the page is wider than its window."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
