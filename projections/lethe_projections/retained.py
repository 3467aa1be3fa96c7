"""What a closed form knows of retain text: second moments, and the template's share of them."""

from collections.abc import Collection, Sequence

from lethe_projections import capture, rows
from lethe_projections.capture import SecondMoments
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.task import Task

TEMPLATE_WEIGHT = 30
"""How many tokens each token counts as that every prompt begins with (a system message, say).

Such a context is one activation, and counted once an edit of ten subjects opened to it by 0.1: next
to nothing, but felt by every request. It was the greater part of the edit's divergence from the
base on retain text, 0.0164 nats a token; counted 30 times 0.0031 was left, and 300 times 0.0032.
"""


def moments(
    task: Task, examples: Sequence[Example], sites: Collection[Site]
) -> dict[Site, SecondMoments]:
    """Second moments over the examples' tokens, each distinct context once but the template's.

    Raises:
        FitError: there are no examples.
        IncompatibleError: the model's form is not understood.
    """
    texts = [task.render(example) for example in examples]
    found = capture.second_moments(
        task.model, task.tokenizer, texts, sites, task.limits, progress=task.progress
    )
    for batch in rows.read(task, rows.template(task), sorted(sites)):
        for site, x in batch.items():
            found[site].update(x.repeat(TEMPLATE_WEIGHT, 1))
    return found
