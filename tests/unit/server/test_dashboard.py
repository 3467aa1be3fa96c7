"""The dashboard and the documentation speak of the metrics that there are, and of all of them."""

import json
import re
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from lethe_server.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "docker" / "grafana" / "lethe.json"
DOCUMENT = ROOT / "docs" / "operations.md"


@pytest.fixture(scope="module")
def ours() -> dict[str, str]:
    """The type of each metric of ours, by the name to query: of a histogram, its buckets'."""
    registry = CollectorRegistry()
    Metrics(registry)
    suffix = {"counter": "_total", "histogram": "_bucket", "gauge": ""}
    return {metric.name + suffix[metric.type]: metric.type for metric in registry.collect()}


@pytest.fixture(scope="module")
def vllms() -> str:
    """Where vLLM declares its own; it registers them with an engine alone."""
    from vllm.v1.metrics import loggers

    return Path(loggers.__file__).read_text()


def test_the_dashboard_has_every_metric_and_no_other(ours: dict[str, str], vllms: str) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    queried = {name for query in queries for name in re.findall(r"\b(?:lethe|vllm):\w+", query)}
    assert {name for name in queried if name.startswith("lethe:")} == set(ours)
    others = queried - set(ours)
    assert others
    assert all(f'"{name}"' in vllms for name in others), others


def test_what_grows_is_queried_by_its_rate_and_what_is_bucketed_by_quantile(
    ours: dict[str, str],
) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    for query in (target["expr"] for panel in panels for target in panel["targets"]):
        for name in re.findall(r"lethe:\w+", query):
            if ours[name] == "counter":
                assert re.search(rf"(rate|increase)\({name}\[", query), query
            if ours[name] == "histogram":
                assert query.startswith("histogram_quantile"), query


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_documentation_has_every_metric_with_its_labels_and_no_other() -> None:
    registry = CollectorRegistry()
    found = vars(Metrics(registry)).values()
    declared = {
        (one.describe()[0].name, one.describe()[0].type, ", ".join(one._labelnames))
        for one in found
        if isinstance(one, prometheus_client.metrics.MetricWrapperBase)
    }
    rows = re.findall(r"^\| `(lethe:\w+)` \| (\w+) \| ([\w, ]*?) ?\|", DOCUMENT.read_text(), re.M)
    documented = {(name.removesuffix("_total"), kind, labels) for name, kind, labels in rows}
    assert documented == declared
