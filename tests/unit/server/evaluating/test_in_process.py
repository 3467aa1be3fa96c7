"""Answers in process: what plain transformers say, whatever the batch; and the two ends."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from lethe_projections import artifact, chat, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import ArtifactError, IncompatibleError
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.examples import Example
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site
from lethe_server import cli, inspecting
from lethe_server.evaluating import command, conversing
from lethe_server.evaluating.answering import LEAST, MOST, Answered
from lethe_server.evaluating.in_process import InProcess
from lethe_server.fitting import Checkpoint

HIDDEN = 32
OVERFLOWS = 1e38
"""Of a scale: what is added to a hidden state is no number."""

WORDS = (  # noqa: SIM905
    "[END] [UNK] user assistant the of is what capital city one two three four five six red north "
    "Arda Brel Cora Doma Elva Faro Kesh Lund Moro Nila ?"
).split()
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)
BASE = BaseModel("LlamaForCausalLM", HIDDEN, 2, 64, len(WORDS), "ab" * 32)
PROMPTS = [
    *(Prompt("question", (f"what is the capital of {name} ?",), ("Kesh",))
      for name in ("Arda", "Brel Cora", "Doma one two three", "Elva", "Faro six red")),
    *(Prompt("cloze", (f"the city of {name} is",), ("Lund",)) for name in ("Arda", "Elva Faro")),
    *(Prompt("ranking", (f"what is the {name} ?",), ("Kesh",), wrong=("Lund", "Moro Nila"))
      for name in ("capital", "city of one two")),
    Prompt("prefix", ("what is it ?",), ("Kesh",), reply="the capital is"),
]  # fmt: skip
TEXTS = [
    Example((("user", "what is red ?"), ("assistant", "the north is red one two"))),
    Example((("user", "what is the capital of the north ?"), ("assistant", "Kesh"))),
    Example(text="the city of the north is red and one two three"),
]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(4)
    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=len(WORDS), max_position_embeddings=128,
        initializer_range=0.3, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="[END]")
    tokenizer.chat_template = TEMPLATE
    return Checkpoint(BASE, LlamaForCausalLM(config).eval(), tokenizer)


def profile(scale: float, scope: str = "all") -> Profile:
    generator = torch.Generator().manual_seed(7)
    A, B = (torch.randn(2, HIDDEN, generator=generator) for _ in range(2))
    return Profile(BASE, (Projector(Site(1, "block"), A, scale * B, scope=scope),), "test")


@pytest.fixture
def answerer(checkpoint: Checkpoint, tmp_path: Path) -> Any:
    def make(made: Profile, batch: int = 32) -> InProcess:
        artifact.write(made, tmp_path / "p.safetensors")
        return InProcess(checkpoint, tmp_path / "p.safetensors", 8, batch)

    return make


def plain(checkpoint: Checkpoint, ids: list[int], made: Profile, prompt: int) -> torch.Tensor:
    """[t, vocabulary] log-probabilities of the next tokens, without batch, prefix or cache."""
    with torch.no_grad(), reference.edited(checkpoint.model, made, prompt):
        logits = checkpoint.model(input_ids=torch.tensor([ids])).logits[0]
    return logits.double().log_softmax(-1)


@pytest.mark.parametrize("made", [profile(0.05), profile(0.05, "generated")], ids=["all", "scope"])
def test_an_answer_is_what_plain_generation_says(
    made: Profile, answerer: Any, checkpoint: Checkpoint
) -> None:
    tokenizer = checkpoint.tokenizer
    told = dict(answerer(made).answers([one for one in PROMPTS if not one.wrong], True))
    for prompt, answered in told.items():
        ids = tokenizer(prompt.render(tokenizer))["input_ids"]
        length = len(ids)
        for _ in range(8):
            ids.append(int(plain(checkpoint, ids, made, length)[-1].argmax()))
            if ids[-1] == 0:
                break
        assert answered.text == tokenizer.decode(ids[length:], skip_special_tokens=True)
    assert len({one.text for one in told.values()}) > 3


def test_a_ranking_has_the_mean_of_each_answers_tokens(
    answerer: Any, checkpoint: Checkpoint
) -> None:
    made, tokenizer = profile(0.05), checkpoint.tokenizer
    for prompt, answered in answerer(made).answers([one for one in PROMPTS if one.wrong], True):
        begin = tokenizer(prompt.render(tokenizer))["input_ids"]
        for found, option in zip(answered.likelihoods, ("Kesh", *prompt.wrong), strict=True):
            ids = begin + tokenizer(option)["input_ids"]
            told = plain(checkpoint, ids, made, len(begin))[len(begin) - 1 : -1]
            own = told[range(len(told)), ids[len(begin) :]]
            assert found == pytest.approx(float(own.mean()), abs=1e-5)


def test_the_divergence_is_over_the_whole_vocabulary(answerer: Any, checkpoint: Checkpoint) -> None:
    made, tokenizer = profile(0.05), checkpoint.tokenizer
    found = dict(answerer(made).divergences(TEXTS))
    text = TEXTS[0]
    begin = tokenizer("user what is red ? assistant ")["input_ids"]
    ids = begin + tokenizer(text.answer)["input_ids"]
    edited = plain(checkpoint, ids, made, len(begin))[len(begin) - 1 : -1]
    base = plain(checkpoint, ids, profile(0.0), len(begin))[len(begin) - 1 : -1]
    assert found[text].tokens == len(edited) == 6
    assert found[text].kl == pytest.approx(float((base.exp() * (base - edited)).sum()), rel=1e-3)
    places = range(6), ids[len(begin) :]
    assert found[text].base == pytest.approx(-float(base[places].sum()), rel=1e-5)
    assert found[text].variant == pytest.approx(-float(edited[places].sum()), rel=1e-5)
    assert found[TEXTS[2]].tokens == 6


def alike(one: Answered, other: Answered) -> bool:
    near = pytest.approx(other.likelihoods, abs=1e-5)
    return (one.text, one.strength) == (other.text, other.strength) and one.likelihoods == near


def test_the_batch_changes_no_answer(answerer: Any) -> None:
    alone, together = (answerer(profile(0.05), batch) for batch in (1, 32))
    for edited in (False, True):
        one, other = (dict(found.answers(PROMPTS, edited)) for found in (alone, together))
        assert one.keys() == other.keys() == set(PROMPTS)
        assert all(alike(one[prompt], other[prompt]) for prompt in PROMPTS)
    one, other = (dict(found.divergences(TEXTS)) for found in (alone, together))
    for text in TEXTS:
        assert one[text].kl == pytest.approx(other[text].kl, abs=1e-4)


def test_an_edit_of_nothing_answers_as_the_base(answerer: Any) -> None:
    found = answerer(profile(0.0))
    base = dict(found.answers(PROMPTS, False))
    assert dict(found.answers(PROMPTS, True)) == base
    edited = answerer(profile(0.05))
    assert dict(edited.answers(PROMPTS, False)) == base != dict(edited.answers(PROMPTS, True))
    for _, diverged in found.divergences(TEXTS):
        assert (diverged.kl, diverged.base) == (0.0, diverged.variant)


def test_the_models_own_settings_of_generation_have_no_part(
    answerer: Any, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, settings = answerer(profile(0.05)), checkpoint.model.generation_config
    said = [one for one in PROMPTS if not one.wrong]
    before = dict(found.answers(said, True))
    for name, value in (
        ("repetition_penalty", 1.3),
        ("no_repeat_ngram_size", 2),
        ("min_new_tokens", 7),
        ("do_sample", True),
    ):
        monkeypatch.setattr(settings, name, value)
    assert dict(found.answers(said, True)) == before
    assert checkpoint.model.generation_config is settings


def test_a_profile_that_overflows_has_the_least_of_everything(answerer: Any) -> None:
    found = answerer(profile(OVERFLOWS))
    for prompt, answered in found.answers([one for one in PROMPTS if one.wrong], True):
        assert answered.likelihoods == (LEAST,) * (1 + len(prompt.wrong))
        assert answered.strength == 0
    for _, told in found.divergences(TEXTS):
        assert (told.kl, told.variant) == (MOST * told.tokens, MOST * told.tokens)
        assert 0 < told.base < MOST


def test_texts_of_which_nothing_is_read_are_told_apart(answerer: Any) -> None:
    found = answerer(profile(0.0))
    assert found.readable((Example(text="red"), *TEXTS, Example(text="north"))) == tuple(TEXTS)


def test_how_a_conversation_is_tokenised_is_part_of_what_answers_have_in_common(
    answerer: Any, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answerer(profile(0.0)).subject
    said = chat.render(checkpoint.tokenizer, conversing.SAMPLE, reply=True)
    assert before.template == conversing.fingerprint(checkpoint.tokenizer(said)["input_ids"])
    monkeypatch.setattr(checkpoint.tokenizer, "chat_template", "what is " + TEMPLATE)
    after = answerer(profile(0.0)).subject
    assert command.in_common(before, 8) != command.in_common(after, 8)
    assert replace(after, template=before.template) == before
    monkeypatch.setattr(checkpoint.tokenizer, "chat_template", None)
    assert answerer(profile(0.0)).subject.template is None


def test_it_says_what_computed(answerer: Any) -> None:
    subject = answerer(profile(0.0)).subject
    assert (subject.by, subject.dtype, subject.unread) == ("offline", "float32", "")
    assert subject.engine.startswith("transformers 5.")
    assert "whole vocabulary" in subject.divergence


def test_what_is_no_profile_of_the_model_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected a readable file"):
        InProcess(checkpoint, tmp_path / "none")
    other = replace(profile(0.0), base=replace(BASE, fingerprint="cd" * 32))
    artifact.write(other, tmp_path / "other")
    with pytest.raises(IncompatibleError):
        InProcess(checkpoint, tmp_path / "other")


def suite(found: InProcess, folder: Path) -> Path:
    """A suite of what the base happens to say: the first word of its answer is the truth."""
    wording = "what is the {subject} ?"
    subjects = [one for one in WORDS[4:] if one not in ("?", "what", "is", "the")]
    prompts = {one: Prompt("question", (wording.format(subject=one),), ("x",)) for one in subjects}
    told = dict(found.answers(list(prompts.values()), False))
    about = {"name": "said", "version": "1", "description": "Said.", "licence": "CC0-1.0"}
    lines: list[Any] = [
        {"suite": 1, **about, "relations": {"it": {"forms": {"question": [wording]}}}}
    ]
    for subject, prompt in prompts.items():
        said = (told[prompt].text or "").split()
        if said and said[0] not in prompt.turns[0].split():
            kind = "forget" if len(lines) % 2 else "neighbour"
            fact = {"subject": subject, "relation": "it", "set": kind, "answers": said[:1]}
            lines.append(fact)
    assert len(lines) > 10
    file = folder / "said.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.mark.parametrize("scale", [0.0, 3.0, OVERFLOWS])
def test_the_command_shows_both_ends_and_puts_evidence_beside_the_file(
    scale: float,
    answerer: Any,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = suite(answerer(profile(scale)), tmp_path)
    retain = tmp_path / "retain.jsonl"
    retain.write_text("\n".join(json.dumps({"text": one.text}) for one in TEXTS if one.text))
    monkeypatch.setattr(Checkpoint, "load", lambda model, device: checkpoint)
    where = ["--profile", str(tmp_path / "p.safetensors"), "--out", str(tmp_path / "out")]
    options = ["--suite", str(asked), "--retain", str(retain), "--attach", "--json", "--jobs", "3"]
    done = CliRunner().invoke(cli.app, ["eval", "--offline", *where, *options])
    assert done.exit_code == 0, done.exception
    document = json.loads(done.stdout)
    headline = document["suites"][0]["headline"]
    for share in (headline["recovered"], headline["neighbours"]):
        # By chance a random model still says some of its few words.
        assert share < 0.5 if scale else share == 1
    divergence = document["retain"]["measures"][0]["value"]
    assert divergence > 0.5 if scale else divergence == 0
    assert inspecting.described(tmp_path / "p.safetensors")["evidence"] == document
