"""A real PostgreSQL server for a test run: in a folder of its own, reached by a Unix socket.

Debian's package is enough (`apt-get install postgresql`); nothing of an installed server is used
but its programs.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

START_SECONDS = 60


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version that is installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda file: int(file.parts[-3])
    )
    return found[-1].parent if found else None


@contextmanager
def running() -> Iterator[str]:
    """Starts a server and gives its address, as a URL of SQLAlchemy without the database's name.

    Skips the test where PostgreSQL is not installed; fails it there if `CI` is set.
    """
    folder = programs()
    if folder is None:
        missing = "expected PostgreSQL below /usr/lib/postgresql, found none; install its package"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # Not pytest's folder: its parents are closed to other users.
    data = Path(tempfile.mkdtemp(prefix="lethe-postgresql-"))
    try:
        user = _give_away(data)
        _initialise(folder, data, user)
        with _started(folder, data, user):
            yield f"postgresql+psycopg://postgres@/{{database}}?host={data}"
    finally:
        shutil.rmtree(data)


def _give_away(data: Path) -> str | None:
    """The user to run it as: `initdb` refuses root, who therefore gives the folder away."""
    if os.getuid() != 0:
        return None
    owner = pwd.getpwnam("postgres")
    os.chown(data, owner.pw_uid, owner.pw_gid)
    return owner.pw_name


def _initialise(folder: Path, data: Path, user: str | None) -> None:
    subprocess.run(
        [
            *(folder / "initdb", "--pgdata", data / "data", "--username", "postgres"),
            *("--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        cwd=data,
        user=user,
        group=user,
    )


@contextmanager
def _started(folder: Path, data: Path, user: str | None) -> Iterator[None]:
    log = data / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(folder / "postgres", "-D", data / "data", "-k", data),
                *("-c", "listen_addresses=", "-c", "fsync=off"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=data,
            user=user,
            group=user,
        )
    try:
        _wait(data, process, log)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        # It waits for its clients; what they left open after that is a test's own mistake.
        process.kill()
        process.wait()


def _wait(data: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(host=str(data), user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    pytest.fail(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def new_database(url: str, name: str) -> str:
    """Makes an empty database on the server that `running` gave, and returns its URL."""
    admin = url.format(database="postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    return url.format(database=name)
