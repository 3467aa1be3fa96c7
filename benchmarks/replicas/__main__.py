"""Two replicas that share a store in PostgreSQL, under `vllm bench serve`, while a profile changes.

    make load                                 # ten minutes on two cores, 8 GB of memory
    make load ARGS='--rounds 9'

Starts a PostgreSQL server of its own (Debian's package `postgresql`). Fails where a request fails,
or where a replica does not serve at its next request what the other one was given. Writes
benchmarks/replicas.json and the section of docs/deploying.md.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.replicas import measuring, report, running
from lethe_server import demo
from tests import postgresql


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replicas", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="2 or more (default: 5)")
    parser.add_argument("--requests", type=int, default=100, help="a replica and round")
    parser.add_argument("--port", type=int, default=8081, help="of the first (default: 8081)")
    parser.add_argument("--out", type=Path, default=report.RESULTS)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error(f"--rounds: expected 2 or more, for quartiles, found {options.rounds}")
    return options


def main() -> None:
    options = parsed()
    ports = [options.port, options.port + 1]
    for port in ports:
        demo.check_port(port)
    with tempfile.TemporaryDirectory(prefix="lethe-load-") as name, postgresql.running() as server:
        folder = Path(name)
        store = postgresql.new_database(server, "load")
        with running.replicas(store, folder, ports) as found:
            urls = [one.url for one in found]
            results = measuring.measure(urls, folder, options.rounds, options.requests)
    report.write(results, options.out)
    Console().print(results)


if __name__ == "__main__":
    main()
