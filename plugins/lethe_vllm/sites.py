"""How a compiled graph names a site."""

from lethe_projections.projector import HOOKS, Site


def site_index(site: Site) -> int:
    """The integer for a site, the same in every process."""
    return site.layer * len(HOOKS) + HOOKS.index(site.hook)


def site_at(index: int) -> Site:
    """Inverse of `site_index`."""
    layer, hook = divmod(index, len(HOOKS))
    return Site(layer, HOOKS[hook])
