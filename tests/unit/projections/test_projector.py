"""Sites, projectors, and the orthonormal basis of given directions."""

import pytest
import torch

from lethe_projections.errors import ArtifactError
from lethe_projections.orthonormal import orthonormal_rows
from lethe_projections.projector import HOOKS, Projector, Site

from .conftest import rows


@pytest.mark.parametrize("hook", HOOKS)
def test_a_site_reads_what_it_writes(hook: str) -> None:
    assert Site.parse(str(Site(12, hook))) == Site(12, hook)
    assert str(Site(4, "block")) == "layers.4.block"


def test_sites_order_by_layer_first() -> None:
    assert sorted([Site(10, "attn"), Site(2, "mlp")])[0] == Site(2, "mlp")


@pytest.mark.parametrize(
    "text",
    ["layers.-1.block", "layers.01.block", "layers.1.norm", "layers.1.block ", "1.block", "",
     "layers.٣.block", "layers.1.block\n", "layers.9999999999.block"],
)  # fmt: skip
def test_a_site_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="expected"):
        Site.parse(text)


@pytest.mark.parametrize("layer", [-1, True, 1.0, "1", None])
def test_a_layer_that_is_no_count_is_refused(layer: object) -> None:
    with pytest.raises(ArtifactError, match="layer of 0 or more"):
        Site(layer, "block")  # type: ignore[arg-type]


def test_the_basis_is_orthonormal_and_spans_the_rows() -> None:
    Q = rows(1, 6, 40) * torch.logspace(0, -3, 6)[:, None]
    basis = orthonormal_rows(Q).double()
    assert basis.shape == (6, 40)
    assert (basis @ basis.T - torch.eye(6, dtype=torch.float64)).abs().max() < 1e-6
    rest = Q.double() - Q.double() @ basis.T @ basis
    assert rest.norm(dim=1).max() < 1e-6 * Q.norm(dim=1).max()


def test_a_dependent_row_between_others_is_dropped_and_nothing_else() -> None:
    Q = rows(2, 4, 30)
    Q[1] = 3 * Q[0]
    basis = orthonormal_rows(torch.cat([Q, Q[2:3] - Q[3:4]])).double()
    assert basis.shape == (3, 30)
    rest = Q.double() - Q.double() @ basis.T @ basis
    assert rest.abs().max() < 1e-5


def test_the_rank_does_not_depend_on_scale() -> None:
    Q = rows(3, 4, 30)
    for scale in (1e-12, 1e12):
        assert orthonormal_rows(Q.double() * scale).shape == (4, 30)


@pytest.mark.parametrize("Q", [torch.zeros(2, 8), torch.full((1, 8), torch.nan), torch.ones(8)])
def test_directions_that_span_nothing_are_refused(Q: torch.Tensor) -> None:
    with pytest.raises(ArtifactError, match="directions"):
        orthonormal_rows(Q)


def test_down_proj_takes_no_orthogonal_projection() -> None:
    with pytest.raises(ArtifactError, match="down_proj"):
        Projector.orthogonal(Site(0, "down_proj"), rows(0, 1, 8))


def test_rank_and_size_count_every_factor() -> None:
    projector = Projector(Site(0, "block"), rows(0, 2, 8), rows(1, 2, 8), torch.zeros(2))
    assert (projector.rank, projector.nbytes) == (2, 4 * (16 + 16 + 2))


@pytest.mark.parametrize(
    ("A", "B", "a"),
    [
        (rows(0, 2, 8).double(), rows(0, 2, 8), None),
        (rows(0, 2, 8), rows(0, 3, 8), None),
        (rows(0, 2, 8), rows(0, 2, 9), None),
        (rows(0, 2, 8)[0], rows(0, 2, 8), None),
        (torch.zeros(0, 8), torch.zeros(0, 8), None),
        (rows(0, 2, 8), torch.full((2, 8), torch.inf), None),
        (rows(0, 2, 8), rows(0, 2, 8), torch.zeros(3)),
    ],
)
def test_factors_that_do_not_fit_are_refused(
    A: torch.Tensor, B: torch.Tensor, a: torch.Tensor | None
) -> None:
    with pytest.raises(ArtifactError, match="expected"):
        Projector(Site(0, "block"), A, B, a)
