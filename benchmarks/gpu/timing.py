"""Times on a GPU: medians of many runs, from a cold second-level cache."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

FLUSHED = 256 * 2**20
"""Bytes written before each run; more than any GPU's second-level cache, 50 MB of an H100."""


@dataclass(frozen=True)
class Spread:
    """Seconds: the median of the runs, and their quartiles."""

    median: float
    low: float
    high: float


def timed(run: Callable[[], None], parts: int, repeats: int) -> Spread:
    """Seconds of device time that one of `parts` equal parts of `run` takes.

    The cache is flushed before each run, which also keeps the device busy while the host enqueues
    the first part: what is timed is the device, and the host only where it cannot keep up.
    """
    flushed = torch.empty(FLUSHED, dtype=torch.int8, device="cuda")
    for _ in range(3):
        run()
    events = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        flushed.zero_()
        start.record()
        run()
        end.record()
        events.append((start, end))
    torch.cuda.synchronize()
    seconds = [start.elapsed_time(end) / 1000 / parts for start, end in events]
    low, median, high = statistics.quantiles(seconds, n=4)
    return Spread(median, low, high)


def captured(run: Callable[[], None]) -> Callable[[], None]:
    """`run` as a CUDA graph. It is run once before, on a stream aside, to compile what it needs."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    replay: Callable[[], None] = graph.replay
    return replay


def copy_bandwidth(repeats: int) -> float:
    """Bytes a second, read and written, of a large copy on this GPU."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    return 2 * source.nbytes / timed(copy, 1, repeats).median
