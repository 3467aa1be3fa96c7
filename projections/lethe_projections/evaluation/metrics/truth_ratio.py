"""Whether wrong answers have become as likely as the right one.

    R         = exp(-mean of the wrong answers' losses) / exp(-loss of the paraphrased right answer)
    forgotten = mean over items of min(R, 1/R)      1 where right and wrong are equally likely
    kept      = mean over items of max(0, 1 - R)    1 where wrong answers are impossible

A loss is `answer_probability.loss`. This is what TOFU's code computes: a geometric mean of the
wrong answers' probabilities. The paper's text has their arithmetic mean, which one likely wrong
answer dominates. The right answer is paraphrased, because a model trained on its wording knows the
wording. A common implementation adds 1e-10 to both denominators; min(R, 1/R) is then never 1, and
wrong where both are tiny. Here all is done with logarithms.
Source: TOFU (arXiv 2401.06121), section 2.2; locuslab/tofu, `aggregate_eval_stat.py`.
"""

import math
from collections.abc import Sequence


def log_ratio(right: float, wrong: Sequence[float]) -> float:
    """Log R of one item; 0 where right and wrong are equally likely, below it the right one leads.

    Args:
        right: loss of the paraphrased right answer.
        wrong: loss of each wrong answer.

    Raises:
        ValueError: there is no wrong answer.
    """
    if not wrong:
        raise ValueError("expected a wrong answer or more, found none; list them, or leave it out")
    return right - math.fsum(wrong) / len(wrong)


def closeness(log_r: float) -> float:
    """min(R, 1/R), for what should be forgotten."""
    return math.exp(-abs(log_r))


def lead(log_r: float) -> float:
    """max(0, 1 - R), for what should be kept."""
    return -math.expm1(min(log_r, 0.0))
