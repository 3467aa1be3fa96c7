"""Tells from hidden states which of the forgotten facts is asked about: multinomial logistic.

Fitted on some wordings and read on the others, both ways. Whatever tells the subjects apart tells
the facts apart: it is no sign that an answer is there, and a control with another answer for each
subject (Hewitt and Liang, arXiv 1909.03368) would be read as well. Knows no model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lethe_projections.errors import LetheError

STRENGTH = 10.0
"""scikit-learn's C, on states that are centred and of mean length 1."""

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def check_installed() -> None:
    """Raises LetheError: scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise LetheError(
            f"probing: expected the package scikit-learn, found {error}; pip install "
            "'vllm-lethe[evaluation]'"
        ) from error


def told(
    fit_on: Array, read: Sequence[Array], labels: Labels, second: NDArray[np.bool_]
) -> list[Labels]:
    """The fact that each state is taken for, by what was fitted on the other half.

    Args:
        fit_on: [n, hidden].
        read: each [n, hidden].
        labels: [n], which fact is asked about.
        second: [n], which half of the wordings.
    """
    found = [np.empty_like(labels) for _ in read]
    for half in (second, ~second):
        for told, states in zip(found, read, strict=True):
            told[~half] = _told(fit_on[half], labels[half], states[~half])
    return found


def shuffled(labels: Labels, second: NDArray[np.bool_], seed: int) -> Labels:
    """The labels of each half among its prompts."""
    drawn, found = np.random.default_rng(seed), labels.copy()
    for half in (second, ~second):
        found[half] = drawn.permutation(labels[half])
    return found


def _told(fit_on: Array, labels: Labels, read: Array) -> Labels:
    from sklearn.linear_model import LogisticRegression

    mean = fit_on.mean(axis=0)
    # States that are all alike have no length, and tell nothing.
    length = np.sqrt(((fit_on - mean) ** 2).sum(axis=1).mean()) or 1.0
    # The best weights lie in the span of the states, where there are fewer coordinates.
    axes = np.linalg.qr((fit_on - mean).T)[0].T
    probe = LogisticRegression(C=STRENGTH, max_iter=1000)
    probe.fit((fit_on - mean) @ axes.T / length, labels)
    found: Labels = probe.predict((read - mean) @ axes.T / length)
    return found
