"""ROCR, rank-one concept redirection, in closed form: passes over text, no training.

Source: "Rank-one Concept Redirection" (arXiv 2506.07795). At the `down_proj` of each chosen block,
for keys K [n, d_ff] of the words to redirect and retain second moment C,

    A = (K C^-1 K^T)^-1 K C^-1           [n, d_ff]     ridge: A k_i = e_i, A x near 0 on retain text
    A = (K P K^T + damping I)^-1 K P     [n, d_ff]     null space: P projects onto C's small
                                                       eigenvectors, A x is 0 on the others
    B = (Z* - Z) / layers left           [n, hidden]   the word's residual moves to Z*

Layers are edited in order; keys and residuals are read anew with the edits so far in place. Both
ends of a fact are redirected, subject and answer, so that reversed questions close as well.
Knows nothing of files and engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lethe_projections import decoder, entities, reference, retained, rows
from lethe_projections.capture import SecondMoments
from lethe_projections.errors import FitError
from lethe_projections.methods.hyperparameters import Hyperparameters, checked_layers, hyper
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_projections.ridge import key_factor, null_space_factor
from lethe_projections.task import Task
from lethe_projections.word_keys import PROMPTS, Reader, Word


@dataclass(frozen=True)
class Config(Hyperparameters):
    """What to move where, and how.

    Raises:
        FitError: a value is out of range; a word is empty, given twice or also the target.
    """

    subjects: tuple[str, ...] = hyper(
        (),
        "what the variant must not know, as written in text; default: the forget file's subjects",
        source="ROCR, section 4",
    )
    target: str = hyper(
        "Narnia",
        "an unrelated subject, answered about instead, in mode subject",
        source="a place that does not exist, so that no true answer is given away",
    )
    answers: bool = hyper(
        True,
        "redirect the entities that the forget file's answers name as well",
        source="measured on development subjects: reversed questions stay open without",
    )
    mode: str = hyper(
        "subject",
        "where to: the target; the mean of the reference prompts' last words, which the model "
        "knows nothing of; a random residual of the same norm",
        choices=("subject", "reject", "noise"),
        source="the authors' code, whose reject is optimised, not a mean",
    )
    layers: tuple[int, ...] = hyper(
        (),
        "blocks to edit, 0-based; default: from 1/30 to 1/6 of the depth",
        low=0,
        source="measured on development subjects; the paper edits 4 to 6 of 32",
    )
    form: str = hyper(
        "ridge",
        "how retain text is spared",
        choices=("ridge", "nullspace"),
        source="measured on development subjects; the paper's is nullspace",
    )
    ridge: float = hyper(
        0.01,
        "added to C's diagonal, as a share of its mean, in form ridge",
        low=0,
        above=True,
        source="measured on development subjects",
    )
    small: float = hyper(
        0.02,
        "eigenvectors of C below this share of the mean eigenvalue are free to read, in form "
        "nullspace",
        low=0,
        above=True,
        source="the authors' code, where 0.02 is absolute",
    )
    damping: float = hyper(
        0.01,
        "added to the diagonal of K P K^T, as a share of its mean, in form nullspace",
        low=0,
        source="the authors' code, where it is 1 absolute",
    )
    prompts: tuple[str, ...] = hyper(
        PROMPTS,
        "contexts in which keys and residuals are read; {} is the word",
        source="the authors' code, and two more that begin with the word",
    )
    seed: int = hyper(0, "of the random residual, in mode noise", low=0, source="any will do")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.prompts or any(prompt.count("{}") != 1 for prompt in self.prompts):
            raise FitError(
                f"prompts: expected one {{}} in each, found {self.prompts!r:.200}; mark the word"
            )


def default_layers(depth: int) -> tuple[int, ...]:
    """Blocks from 1/30 to 1/6 of the depth: 1..4 of 30, 1..4 of 32, 3..12 of 80.

    Early, because a subject's facts are gathered at its last token in the early blocks (ROME,
    arXiv 2202.05262). The paper edits 4..6 of 32. On SmolLM2-135M, 30 blocks, of 36 forward
    forms of five capitals 2..5 left 3, 3..6 left 9 and 1..4 left 2.
    """
    first = round(depth / 30)
    return tuple(range(first, max(first + 1, round(depth / 6))))


def fit(task: Task, config: Config) -> Profile:
    """Fits a profile that answers about the subjects as if asked about the target.

    Retain examples that mention a redirected word are left out, since they ask for the opposite.
    After another profile of this method, its words and the new ones are redirected together.

    Returns:
        A `down_proj` profile at each chosen layer, of one rank a word: for each subject and answer
        its last token, and the end of each earlier word that retain text does not hold.

    Raises:
        FitError: a word is empty, twice or the target; one does not tokenise, no retain text is
            left, layers are missing, or `after` is another method's profile.
        IncompatibleError: blocks norm what their MLP writes.
    """
    decoder.check_mlp_is_added(task.model)
    depth = task.base.num_layers
    layers = checked_layers(config.layers or default_layers(depth), depth)
    config = replace(config, subjects=config.subjects or task.subjects, layers=layers)
    _check_words(config)
    names = _names(task, config)
    kept = task.retain_without(names)
    reader = Reader(task)
    words = reader.words_of(names, kept, config.prompts)
    rows.check_rank(len(words), task)
    moments = retained.moments(task, kept, [Site(layer, "down_proj") for layer in layers])
    projectors = _edit_layers(reader, words, config, moments)
    return task.profile(
        "rocr",
        config,
        projectors,
        seed=config.seed if config.mode == "noise" else None,
        measured={
            **(task.referred() if config.mode == "reject" else {}),
            "redirected": list(names),
            "keyed_at": list(dict.fromkeys(word.part for word in words)),
            "retain_left_out": len(task.retain) - len(kept),
            "retain_tokens": next(iter(moments.values())).count,
        },
    )


def _check_words(config: Config) -> None:
    words = (*config.subjects, *((config.target,) if config.mode == "subject" else ()))
    enough = len(config.subjects) > 0 and len(set(words)) == len(words)
    if not enough or not all(word.strip() for word in words):
        raise FitError(
            "expected a subject or more and a target, all different and none empty, found "
            f"{list(config.subjects)!r:.200} and {config.target!r:.80}; give such words"
        )


def _names(task: Task, config: Config) -> tuple[str, ...]:
    """Subjects and answers to redirect, those of the profile before first, each once."""
    asked = [example for example in task.forget if example.subject in config.subjects]
    answers = entities.answers(asked, task.retain) if config.answers else ()
    names = dict.fromkeys((*_before(task), *config.subjects, *answers))
    return tuple(name for name in names if name != config.target or config.mode != "subject")


def _before(task: Task) -> tuple[str, ...]:
    if task.after is None:
        return ()
    if task.after.method != "rocr":
        raise FitError(
            f"after: expected a profile made by rocr, whose words are redirected together with the "
            f"new ones, found one made by {task.after.method}; compose the two profiles instead"
        )
    return tuple(task.after.provenance["redirected"])


def _edit_layers(
    reader: Reader,
    words: Sequence[Word],
    config: Config,
    moments: dict[Site, SecondMoments],
) -> tuple[Projector, ...]:
    sites = sorted(moments)
    end = Site(sites[-1].layer, "block")
    goal = _goal(reader, words, config, end)
    done: list[Projector] = []
    for left, site in zip(range(len(sites), 0, -1), sites, strict=True):
        with reference.installed(reader.task.model, done):
            found = reader.at(words, [site, end])
        A = _key_factor(found[site], moments[site].mean, config)
        B = (goal - found[end]) / left
        done.append(Projector(site, A.to(torch.float32), B.to(torch.float32)))
    return tuple(done)


def _goal(reader: Reader, words: Sequence[Word], config: Config, end: Site) -> Tensor:
    """Z*, [1 or n, hidden] float64."""
    if config.mode == "subject":
        return reader.at([Word(config.target, config.target, config.prompts)], [end])[end]
    if config.mode == "reject":
        return reader.last_words(end)
    generator = torch.Generator().manual_seed(config.seed)
    norms = reader.at(words, [end])[end].norm(dim=1, keepdim=True)
    noise = torch.randn(norms.shape[0], reader.task.base.hidden_size, generator=generator)
    noise = torch.nn.functional.normalize(noise.to(norms))
    return noise.mul(norms)


def _key_factor(keys: Tensor, second_moment: Tensor, config: Config) -> Tensor:
    if config.form == "nullspace":
        return null_space_factor(keys, second_moment, config.small, config.damping)
    return key_factor(keys, second_moment, config.ridge)
