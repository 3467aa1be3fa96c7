"""The edit's kernel on a GPU: that it is right, and how near it comes to the memory's own speed.

    PYTHONPATH=projections:plugins python -m benchmarks.gpu --out results.json

Needs one NVIDIA GPU, torch, triton and rich; neither vLLM nor a network. `--help` has the options.
"""
