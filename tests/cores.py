"""Which cores the ranks of an engine compute on."""

import os


def bound(ranks: int) -> str:
    """`VLLM_CPU_OMP_THREADS_BIND` for so many ranks: a core each, of this process's own.

    Where there are fewer cores than ranks, some share one.
    """
    own = sorted(os.sched_getaffinity(0))
    return "|".join(str(own[rank % len(own)]) for rank in range(ranks))
