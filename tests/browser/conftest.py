"""One real server and one real browser for all tests of this folder."""

import os
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, sync_playwright

from lethe_projections import embedded
from lethe_projections.base_model import BaseModel
from lethe_server.evaluating.evidence import Evidence
from tests.http.conftest import ENGINE, started, three_profiles
from tests.http.profiles import synthetic
from tests.http.server import PROFILES, Server

from .profiling import attach, names, payload
from .visiting import OPERATOR, VISITOR, Visits, as_operator

POLICY = f"""\
version: 1
keys:
  - name: operator
    sha256: {sha256(OPERATOR.encode()).hexdigest()}
    profiles: "*"
    base: true
    adapters: "*"
    admin: true
  - name: visitor
    sha256: {sha256(VISITOR.encode()).hexdigest()}
    profiles: [france, alpha]
    default: france
"""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def base() -> BaseModel:
    return BaseModel.from_checkpoint(embedded.prepare())


@pytest.fixture(scope="package")
def server(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Holds the profiles france, alpha and beta; tests add others and leave these alone."""
    folder = tmp_path_factory.mktemp("browser")
    profiles, policy = three_profiles(folder, base), folder / "policy.yaml"
    policy.write_text(POLICY)
    with started(folder, "--profiles", str(profiles), "--policy", str(policy), *ENGINE) as found:
        yield found


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The Chromium that is installed, with an empty profile.

    Ended with the folder: while Playwright runs, its event loop is this thread's, and no other
    test could call `asyncio.run`.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.fail(
            "chromium: expected on PATH, found none; apt-get install chromium fonts-dejavu-core"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(server: Server, browser: Browser) -> Iterator[Visits]:
    """Opens pages; after the test, whatever went wrong in one of them fails it."""
    visits = Visits(server, browser)
    yield visits
    visits.close()
    assert visits.problems == []


@pytest.fixture
def api(server: Server) -> Iterator[httpx.Client]:
    """As the operator; what a test adds is gone afterwards."""
    with as_operator(server) as client:
        before = names(client)
        yield client
        for name in names(client) - before:
            client.patch(f"{PROFILES}/{name}", json={"pinned": False})
            client.delete(f"{PROFILES}/{name}")


@pytest.fixture
def files(base: BaseModel) -> Callable[[str, int], FilePayload]:
    """Makes files that a browser picks."""

    def make(name: str, seed: int) -> FilePayload:
        return payload(name, synthetic(base, seed))

    return make


@pytest.fixture
def measured(api: httpx.Client, base: BaseModel) -> Evidence:
    return attach(api, base, "measured")


@pytest.fixture(scope="session")
def screenshots(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of pictures: the documentation's where `LETHE_SCREENSHOTS` names it."""
    folder = os.environ.get("LETHE_SCREENSHOTS")
    if folder is None:
        return tmp_path_factory.mktemp("screenshots")
    return pytestconfig.rootpath / folder
