"""How the tests read a server's metrics."""

import time

from prometheus_client.parser import text_string_to_metric_families

from lethe_server.recent import FRESH

from .server import Server

Metrics = dict[tuple[str, str], float]
"""Lethe's samples, but for buckets, by name and the values of their labels."""


def metrics(server: Server) -> Metrics:
    """As they are once what the engines said has run out."""
    time.sleep(FRESH)
    reply = server.get("/metrics")
    assert reply.status_code == 200
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
        if sample.name.startswith("lethe:") and "le" not in sample.labels
    }


def grown(before: Metrics, after: Metrics, name: str, label: str) -> float:
    return after.get((name, label), 0) - before.get((name, label), 0)
