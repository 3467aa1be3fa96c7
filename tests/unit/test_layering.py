"""Imports flow projections <- plugins <- server, and vLLM is met in few places.

Read from the source, so that an import inside a function or under TYPE_CHECKING counts as well.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = {
    "lethe_projections": ROOT / "projections" / "lethe_projections",
    "lethe_vllm": ROOT / "plugins" / "lethe_vllm",
    "lethe_server": ROOT / "server" / "lethe_server",
}

FORBIDDEN = {
    "lethe_projections": {"vllm", "fastapi", "lethe_vllm", "lethe_server"},
    "lethe_vllm": {"fastapi", "lethe_server"},
    "lethe_server": set[str](),
}

# vLLM's names change between releases: they are met in compat, where the versions tried are
# written down. Another file needs a line here, with its reason.
MAY_IMPORT_VLLM: dict[str, str] = {}

# vLLM logs an entry point that fails to import and carries on without it, serving every request
# unedited. So these, which run at that import, need nothing that could be absent or broken.
STANDARD_LIBRARY_ONLY = [
    "plugins/lethe_vllm/__init__.py",
    "plugins/lethe_vllm/entry.py",
    "server/lethe_server/__init__.py",
    "server/lethe_server/entry.py",
]


@dataclass(frozen=True)
class Import:
    """One imported module, where it is written, and whether importing the file runs it."""

    module: str
    line: int
    at_top: bool

    @property
    def root(self) -> str:
        return self.module.partition(".")[0]


def imports(source: str, package: str) -> list[Import]:
    """Lists the imports of a file in `package`; a relative one is an import of that package."""
    found: list[Import] = []

    def visit(node: ast.AST, at_top: bool) -> None:
        for module in modules(node, package):
            found.append(Import(module, node.lineno, at_top))  # type: ignore[attr-defined]
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, at_top and not inside)

    visit(ast.parse(source), True)
    return found


def modules(node: ast.AST, package: str) -> list[str]:
    """Returns the modules that one syntax node imports, `import_module("...")` included."""
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(level=0, module=str(module)):
            return [module]
        case ast.ImportFrom():
            return [package]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            return [package if module.startswith(".") else module]
    return []


def in_compat(path: str) -> bool:
    """Whether a file is where vLLM is met: a module or a folder called compat."""
    return "compat" in (Path(path).stem, Path(path).parent.name)


def violations(path: str, package: str, source: str) -> list[str]:
    """Returns one sentence for each import that `path` may not have."""
    found = []
    for one in imports(source, package):
        if one.root in FORBIDDEN[package]:
            found.append(f"{path}:{one.line}: {package} may not import {one.module}")
        elif one.root == "vllm" and not in_compat(path) and path not in MAY_IMPORT_VLLM:
            found.append(f"{path}:{one.line}: {one.module} is to be imported in compat only")
        if path in STANDARD_LIBRARY_ONLY and one.at_top and one.root not in sys.stdlib_module_names:
            found.append(f"{path}:{one.line}: only the standard library may be imported at the top")
    return found


def source_files() -> list[tuple[str, str]]:
    return [
        (package, str(file.relative_to(ROOT)))
        for package, folder in PACKAGES.items()
        for file in sorted(folder.rglob("*.py"))
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_where_the_build_expects_it(package: str) -> None:
    assert (PACKAGES[package] / "__init__.py").is_file()
    assert (PACKAGES[package] / "py.typed").is_file()


@pytest.mark.parametrize(("package", "path"), source_files())
def test_a_file_imports_only_what_its_layer_may(package: str, path: str) -> None:
    assert violations(path, package, (ROOT / path).read_text()) == []


def test_every_exception_is_still_needed() -> None:
    for path in MAY_IMPORT_VLLM:
        found = imports((ROOT / path).read_text(), Path(path).parts[1])
        assert any(one.root == "vllm" for one in found), path


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("projections/lethe_projections/fit.py", "import lethe_vllm.sites"),
        ("projections/lethe_projections/fit.py", "def f():\n    from vllm import LLM"),
        ("plugins/lethe_vllm/routing.py", "from lethe_server.store import Store"),
        ("plugins/lethe_vllm/routing.py", "import importlib\nimportlib.import_module('fastapi')"),
        ("plugins/lethe_vllm/routing.py", "from vllm.v1.request import Request"),
        ("server/lethe_server/app.py", "if True:\n    import vllm.entrypoints"),
        ("plugins/lethe_vllm/entry.py", "import torch"),
        ("plugins/lethe_vllm/entry.py", "from .compat import install"),
        ("server/lethe_server/entry.py", "try:\n    import fastapi\nexcept ImportError:\n    pass"),
    ],
)
def test_a_violation_is_found(path: str, source: str) -> None:
    assert len(violations(path, Path(path).parts[1], source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("projections/lethe_projections/fit.py", "import torch\nfrom .artifact import read"),
        ("plugins/lethe_vllm/compat/core.py", "from vllm.v1.request import Request"),
        ("plugins/lethe_vllm/entry.py", "import os\ndef register():\n    from . import compat"),
        ("server/lethe_server/app.py", "import fastapi\nfrom lethe_vllm import sites"),
    ],
)
def test_what_a_layer_may_import_passes(path: str, source: str) -> None:
    assert violations(path, Path(path).parts[1], source) == []
