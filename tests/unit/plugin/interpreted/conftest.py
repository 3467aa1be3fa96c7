"""Tests of the kernel, run by `test_kernel.py` in a process of their own.

TRITON_INTERPRET has to be set before Triton is imported, and would change what an engine in the
same process does; so these are collected only where it is set.
"""

import os

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["*"]
