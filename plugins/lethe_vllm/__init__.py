"""Lethe's engine side: serves unlearned variants of one base model inside vLLM.

The path of a request: `frontend` resolves the profile it names and makes sure that the
engine holds it; `admission` (engine core) separates its prefix cache; `routing` (worker)
finds its tokens in each batch; `edit` (custom op) changes them at each site.
Importing this package imports neither vLLM nor torch.
"""
