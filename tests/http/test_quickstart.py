"""README.md and docs/quickstart.md are true: every block is run, and says what it shows.

`make demo` is run as it stands, on another port and without setting up again. `make test` is what
runs this.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from lethe_projections import embedded
from tests.unit.documents.blocks import blocks

from .conftest import alone, free_port, lock_beside
from .harness import REPOSITORY

PAGES = ("README.md", "docs/quickstart.md")
DOCUMENTED = "127.0.0.1:8000"
BIN = Path(sys.executable).parent
START_SECONDS = 300
READY = "Ctrl-C stops the server."
ALIKE = 0.6
"""Share of an answer's words: another processor rounds otherwise, and a variant's answer turns."""


@dataclass
class Terminal:
    """Where the blocks of a page are run, one after the other.

    Attributes:
        folder: in which they are run.
        port: of the demonstration, in place of the documented one.
        demo: what `make demo` has printed.
        variables: of the environment.
        exports: the commands so far that later ones need.
    """

    folder: Path
    port: int
    demo: Path
    variables: dict[str, str]
    exports: list[str] = field(default_factory=list)

    def printed_by(self, command: str) -> str:
        """What a command prints.

        Raises:
            AssertionError: it failed.
        """
        command = command.strip()
        if re.fullmatch(r"make demo( +#.*)?", command):
            return self.demo.read_text()
        if re.fullmatch(r"make test( +#.*)?", command):
            assert "\nmake test " in (REPOSITORY / ".ci" / "run").read_text()
            return ""
        script = "\n".join([*self.exports, command]).replace(DOCUMENTED, self.address)
        if command.startswith("export "):
            self.exports.append(command)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True, text=True, check=False, cwd=self.folder, env=self.variables,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr[-3000:]}"
        return done.stdout

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def sh(terminal: Terminal, text: str) -> str:
    return terminal.printed_by(text)


def python(terminal: Terminal, text: str) -> str:
    """As a file, and checked to speak of the base and of a variant that does not know."""
    (terminal.folder / "block.py").write_text(text)
    printed = terminal.printed_by("python block.py")
    base, variant = (line for line in printed.splitlines() if " -> " in line)
    capital = "Tokyo" if "Japan" in text else "Berlin"
    assert capital in base
    assert capital not in variant
    return printed


def console(terminal: Terminal, text: str) -> str:
    """Commands behind `$`, each with lines that it prints, in this order among others."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        *continued, rest = re.split(r"(?<=\\\n)", part)
        last, _, shown = rest.partition("\n")
        command = "".join([*continued, last])
        printed = iter(plain(terminal.printed_by(command)).splitlines())
        for line in plain(shown.replace(DOCUMENTED, terminal.address)).splitlines():
            assert any(is_shown(line, one) for one in printed), f"{command}: {line}"
    return ""


RUNNERS: dict[str, Callable[[Terminal, str], str]] = {
    "sh": sh,
    "python": python,
    "console": console,
}


def plain(text: str) -> str:
    """Without the frames of tables, times and what a digest is; blanks are one."""
    text = re.sub(r"[│┃┏┓┗┛┡┩├┤└┘━─┳╇┼┴]", " ", text.replace("\r", ""))
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "<digest>", text)
    text = re.sub(r"\b\d+ s\b", "<seconds>", text)
    lines = (re.sub(r" +", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def is_shown(line: str, printed: str) -> bool:
    """Whether a printed line is the one in the page, where `...` stands for anything."""
    if "The capital" in line:
        return alike(line, printed) and capitals(line) == capitals(printed)
    pattern = ".*".join(map(re.escape, line.split("...")))
    return re.fullmatch(pattern, printed) is not None


def capitals(line: str) -> list[str]:
    """Those that a variant is to know, or not to."""
    return re.findall("Paris|Tokyo|Berlin", line)


def alike(line: str, printed: str) -> bool:
    wanted, found = (re.findall(r"\w+", text) for text in (line, printed))
    matching = SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in matching) >= ALIKE * len(wanted)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one in which `make demo` runs, which fits its profiles anew."""
    folder = tmp_path_factory.mktemp("quickstart")
    home = folder / "home"
    home.mkdir()
    (home / "embedded").symlink_to(embedded.prepare().parent)
    own = {"LETHE_HOME": str(home), "VLLM_CACHE_ROOT": str(folder / "cache"), "COLUMNS": "200"}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    # Make hands its own options to those below.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    port = free_port()
    found = Terminal(folder, port, folder / "demo.log", {**inherited, **own, "PATH": path})
    with alone(lock_beside(folder.parent)), demonstration(found):
        yield found
    assert "Stopped" in found.demo.read_text()


@contextmanager
def demonstration(terminal: Terminal) -> Iterator[None]:
    """`make demo`, until Ctrl-C; what it would set up is what runs this test."""
    command = ["make", "--old-file=setup", "demo", f"PORT={terminal.port}", f"VENV={BIN}"]
    with terminal.demo.open("wb") as log:
        process = subprocess.Popen(
            # Where a shell has started the tests in the background, Ctrl-C would be ignored.
            ["env", "--default-signal=INT", *command],
            stdout=log, stderr=subprocess.STDOUT, cwd=REPOSITORY, env=terminal.variables,
            process_group=0,
        )  # fmt: skip
        try:
            wait(terminal.demo, process)
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def wait(log: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while READY not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"make demo did not get to the end:\n{log.read_text()}")
        time.sleep(0.5)


def test_every_block_of_both_pages_is_of_a_kind_that_is_run() -> None:
    for page in PAGES:
        found = blocks(page)
        assert len(found) == len(re.findall("^```", (REPOSITORY / page).read_text(), re.M)) / 2
        assert {block.language for block in found} <= RUNNERS.keys(), page


@pytest.mark.parametrize("page", PAGES)
def test_every_block_does_what_it_shows(terminal: Terminal, page: str) -> None:
    for block in blocks(page):
        RUNNERS[block.language](terminal, block.text)


def test_a_line_that_is_not_printed_is_noticed() -> None:
    assert is_shown("germany: version 1, <digest>...", "germany: version 1, <digest>")
    assert not is_shown("germany: version 2, <digest>...", "germany: version 1, <digest>")
    assert not alike("The capital of France is Paris.", "Lethe stopped.")
    answer = '{..."content":"The capital of the world is New York City."...}'
    assert not is_shown(answer, '{"content":"The capital of France is Paris."}')
