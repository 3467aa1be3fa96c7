"""A small document of evidence."""

from lethe_server.evaluating.evidence import Evidence, Headline, Measure, SuiteEvidence
from lethe_server.evaluating.split import Split

WORST = Measure(
    name="prefix", formula="recovered / known", value=0.25, interval=(0.1, 0.4), n=8, clusters=8,
    base=1.0, never_known=0.05,
)  # fmt: skip


def evidence(digest: str, model: str) -> Evidence:
    headline = Headline(worst_form="prefix", recovered=0.25, neighbours=0.9, unrelated=None)
    suite = SuiteEvidence(
        name="towns", version="1", sha256="12" * 32, subjects_sha256=None, facts={"forget": 8},
        prompts=8, headline=headline, forget=[WORST], neighbour=[], unrelated=[], measures=[],
    )  # fmt: skip
    return Evidence(
        digest=digest, method="rocr", model=model, by="http", engine="vllm 0.0", dtype=None,
        split=Split.HELD_OUT, max_tokens=24, suites=[suite], retain=None,
        left_out=["retain text: it has scopes"],
    )  # fmt: skip
