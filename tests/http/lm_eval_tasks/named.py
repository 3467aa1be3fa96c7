"""How the generation task judges an answer. lm-eval imports it by its place beside the task."""

from typing import Any


def capital_is_named(document: dict[str, Any], answers: list[str]) -> dict[str, float]:
    return {"acc": float(document["capital"] in answers[0])}
