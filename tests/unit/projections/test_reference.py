"""The reference against the formula in fp64, and hooks against merged weights."""

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch

from lethe_projections import merge, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.errors import IncompatibleError
from lethe_projections.profile import Profile
from lethe_projections.projector import HOOKS, Gate, Projector, Site

from .conftest import D_FF, HIDDEN, edit, logits, make_model, rows

TOLERANCE = 1e-4
EFFECT = 100 * TOLERANCE


def only(base: BaseModel, *projectors: Projector) -> Profile:
    return Profile(base, projectors, "test")


def test_apply_is_the_formula() -> None:
    projector = edit("down_proj", offset=True)
    x, y = rows(8, 5, D_FF).double(), rows(9, 5, HIDDEN).double()
    A, B, a = (t.double() for t in (projector.A, projector.B, projector.a) if t is not None)
    for row in range(5):
        expected = y[row] + B.T @ (A @ x[row] + a)
        found = reference.apply(projector, x, y)[row]
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert (found - y[row]).abs().max() > 1


def test_an_orthogonal_projection_removes_its_directions_and_keeps_the_rest() -> None:
    Q = rows(1, 3, HIDDEN)
    projector = Projector.orthogonal(Site(0, "block"), Q)
    x = rows(2, 6, HIDDEN)
    after = reference.apply(projector, x, x)
    assert (x @ Q.T).abs().min() > 1e-3
    assert (after @ Q.T).abs().max() < 1e-4
    assert torch.allclose(reference.apply(projector, after, after), after, atol=1e-5)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_edits_its_site_by_the_formula_and_only_while_it_is_on(
    model: Any, base: BaseModel, hook: str
) -> None:
    projector = edit(hook, layer=2, offset=True)
    parts = {"attn": "self_attn", "mlp": "mlp", "down_proj": "mlp.down_proj"}
    block = model.model.layers[2]
    module = block if hook == "block" else block.get_submodule(parts[hook])
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def watch(_: Any, args: tuple[torch.Tensor, ...], output: Any) -> None:
        y = output[0] if isinstance(output, tuple) else output
        seen.append((args[0] if args and hook == "down_proj" else y, y))

    before = module.register_forward_hook(watch)
    plain = logits(model)
    with reference.edited(model, only(base, projector)):
        after = module.register_forward_hook(watch)
        changed = logits(model)
    before.remove()
    after.remove()
    (x, y), _, (_, written) = seen
    assert torch.allclose(written, reference.apply(projector, x, y), atol=1e-5)
    assert (changed - plain).abs().max() > EFFECT
    assert torch.equal(logits(model), plain)


def test_hooks_are_removed_when_the_block_fails(model: Any, base: BaseModel) -> None:
    plain = logits(model)
    with pytest.raises(ZeroDivisionError), reference.edited(model, only(base, edit("block"))):
        raise ZeroDivisionError
    assert torch.equal(logits(model), plain)


def test_merged_weights_equal_the_hooks(model: Any, base: BaseModel) -> None:
    profile = only(base, edit("down_proj", 0), edit("down_proj", 3, rank=5))
    plain = logits(model)
    with reference.edited(model, profile):
        hooked = logits(model)
    merged = merge.merge_(copy.deepcopy(model), profile)
    assert (hooked - plain).abs().max() > EFFECT
    assert (logits(merged) - hooked).abs().max() < TOLERANCE
    assert torch.equal(logits(model), plain)


def test_an_offset_merges_into_a_bias_where_there_is_one(base: BaseModel) -> None:
    config = make_model().config
    config.mlp_bias = True
    model = type(make_model())(config).eval()
    profile = only(base, edit("down_proj", offset=True))
    plain = logits(model)
    with reference.edited(model, profile):
        hooked = logits(model)
    assert (hooked - plain).abs().max() > EFFECT
    assert (logits(merge.merge_(model, profile)) - hooked).abs().max() < TOLERANCE


@pytest.mark.parametrize("hook", ["block", "attn", "mlp"])
def test_what_no_weight_can_hold_is_not_merged(model: Any, base: BaseModel, hook: str) -> None:
    plain = logits(model)
    with pytest.raises(IncompatibleError, match="expected a down_proj"):
        merge.merge_(model, only(base, edit("down_proj", 0), edit(hook, 1)))
    with pytest.raises(IncompatibleError, match="no bias"):
        merge.merge_(model, only(base, edit("down_proj", 0), edit("down_proj", 1, offset=True)))
    assert torch.equal(logits(model), plain)


def test_a_model_of_other_dimensions_is_refused_by_field(model: Any) -> None:
    base = BaseModel("LlamaForCausalLM", HIDDEN, 3, D_FF, 99, "ab" * 32)
    profile = only(base, edit("down_proj"))
    for use in (lambda: merge.merge_(model, profile), lambda: enter(model, profile)):
        with pytest.raises(IncompatibleError, match=r"num_layers: expected 3, found 4.*vocab_size"):
            use()


def enter(model: Any, profile: Profile) -> None:
    with reference.edited(model, profile):
        pass


def test_a_model_of_unknown_form_is_refused(base: BaseModel) -> None:
    with pytest.raises(IncompatibleError, match="Linear"):
        enter(torch.nn.Linear(2, 2), only(base, edit("block")))


GATE = rows(11, 1, HIDDEN)[0]


@pytest.mark.parametrize("hard", [False, True])
def test_a_gate_opens_where_its_formula_says(hard: bool) -> None:
    projector = dataclasses.replace(edit("block", offset=True), gate=Gate(GATE, 0.3, hard))
    x = rows(8, 40, HIDDEN).double()
    plain = reference.change(dataclasses.replace(projector, gate=None), x)
    found = reference.change(projector, x)
    logits_of = [sum(float(a) * float(b) for a, b in zip(row, GATE, strict=True)) for row in x]
    gates = [(float(s + 0.3 > 0) if hard else 1 / (1 + math.exp(-s - 0.3))) for s in logits_of]
    assert 0.2 < sum(gates) / 40 < 0.8
    for row in range(40):
        assert torch.allclose(found[row], gates[row] * plain[row], rtol=1e-6, atol=1e-6)


def written(model: Any, profile: Profile, prompt_tokens: Any, **call: Any) -> torch.Tensor:
    """What the model's second block writes under the profile, [b, t, hidden]."""
    seen: list[torch.Tensor] = []
    with reference.edited(model, profile, prompt_tokens), torch.no_grad():
        handle = model.model.layers[1].register_forward_hook(lambda *a: seen.append(a[2]))
        model(**call)
        handle.remove()
    return seen[0]


IDS = torch.arange(1, 23).view(2, 11)


@pytest.mark.parametrize(
    ("scope", "first", "second"),
    [
        ("all", range(11), range(11)),
        ("prompt", range(5), range(8)),
        ("generated", range(5, 11), range(8, 11)),
        ("last_prompt_token", [4], [7]),
    ],
)
def test_a_scope_edits_its_tokens_and_no_other(
    model: Any, base: BaseModel, scope: str, first: Any, second: Any
) -> None:
    profile = only(base, dataclasses.replace(edit("block", 1), scope=scope))
    plain = written(model, only(base, edit("block", 3)), None, input_ids=IDS)
    changed = written(model, profile, torch.tensor([5, 8]), input_ids=IDS)
    moved = (changed - plain).abs().amax(-1) > EFFECT
    expected = torch.zeros(2, 11, dtype=torch.bool)
    expected[0, list(first)] = expected[1, list(second)] = True
    assert torch.equal(moved, expected)


def test_a_scope_counts_positions_through_a_kv_cache(model: Any, base: BaseModel) -> None:
    profile = only(base, dataclasses.replace(edit("block", 1), scope="last_prompt_token"))
    whole = written(model, profile, 5, input_ids=IDS[:1])
    with reference.edited(model, profile, 5), torch.no_grad():
        cache = model(IDS[:1, :3], use_cache=True).past_key_values
    rest = written(model, profile, 5, input_ids=IDS[:1, 3:], past_key_values=cache)
    assert torch.allclose(whole[:, 3:], rest, atol=1e-4)
    plain = written(model, only(base, edit("block", 3)), None, input_ids=IDS[:1])
    assert (whole - plain)[0, 4].abs().max() > EFFECT


def test_a_scope_without_a_prompt_length_is_refused(model: Any, base: BaseModel) -> None:
    with pytest.raises(IncompatibleError, match="prompt_tokens"):
        enter(model, only(base, dataclasses.replace(edit("block"), scope="prompt")))


def test_edits_of_one_site_read_the_same_input_and_add_up(model: Any, base: BaseModel) -> None:
    one, other = edit("block", 1), dataclasses.replace(edit("block", 1), scope="prompt")
    both = written(model, only(base, one, other), 11, input_ids=IDS)
    plain = written(model, only(base, edit("block", 3)), None, input_ids=IDS)
    expected = plain + 2 * reference.change(one, plain)
    assert torch.allclose(both, expected, atol=1e-4)


def test_what_is_gated_or_scoped_is_not_merged(model: Any, base: BaseModel) -> None:
    plain, w = edit("down_proj", 0), rows(2, 1, D_FF)[0]
    for changed in ({"gate": Gate(w)}, {"scope": "prompt"}):
        with pytest.raises(IncompatibleError, match="every token alike"):
            merge.merge_(model, only(base, dataclasses.replace(plain, **changed)))
