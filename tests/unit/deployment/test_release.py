"""What `pip install` gets: built once, looked into, and installed where the project is not."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import subsets
from installed import installed

from .places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION: str = PROJECT["version"]
PACKAGES = ("projections/lethe_projections", "plugins/lethe_vllm", "server/lethe_server")
STEM = f"vllm_lethe-{VERSION}"


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ".", cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{STEM}-py3-none-any.whl"


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment that has the wheel, what it requires without an extra, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run(sys.executable, *install, wheel, cwd=folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    for name in required():
        distribution = installed()[name]
        for part in {file.parts[0] for file in distribution.files or ()} - {".."}:
            if not (site / part).exists():
                (site / part).symlink_to(Path(str(distribution.locate_file(part))))
    yield folder / "venv" / "bin"


def required() -> set[str]:
    """The distributions that the wheel's own requirements lead to, as they are installed here."""
    requires = {name: one.requires or [] for name, one in installed().items()}
    return subsets.reached(map(Requirement, PROJECT["dependencies"]), requires)


def files() -> dict[str, bytes]:
    """Every file of the packages, by its name in the wheel."""
    return {
        str(file.relative_to((ROOT / package).parent)): file.read_bytes()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    own = {name: data for name, data in found.items() if ".dist-info/" not in name}
    assert own.keys() == files().keys()
    assert own == files()
    licences = f"{STEM}.dist-info/licenses"
    assert f"{licences}/LICENSE" in found
    vendored = [name for name in own if name.endswith(".licence.txt")]
    assert vendored != []
    assert {f"{licences}/server/{name}" for name in vendored} <= found.keys()


def test_the_licence_of_the_wheel_names_those_of_the_libraries_in_it() -> None:
    vendored = ROOT / "server/lethe_server/playground/static/vendor/vendor.json"
    stated = {file["licence"] for file in json.loads(vendored.read_text()).values()}
    assert set(PROJECT["license"].split(" AND ")) == stated | {"Apache-2.0"}


def test_the_sdist_is_the_tree_and_small(built: Path) -> None:
    archive = built / f"{STEM}.tar.gz"
    assert archive.stat().st_size < 8 * 2**20
    with tarfile.open(archive) as source:
        names = {name.removeprefix(f"{STEM}/") for name in source.getnames()}
    assert {"PKG-INFO", "LICENSE", "pyproject.toml", "tests/conftest.py"} <= names
    assert {f"{package}/__init__.py" for package in PACKAGES} <= names
    assert [name for name in names - {"PKG-INFO"} if not (ROOT / name).is_file()] == []
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]


def test_an_index_would_take_both(built: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir(), cwd=ROOT)


def test_installed_it_is_the_wheels_own_code_and_data(environment: Path, tmp_path: Path) -> None:
    code = (
        "import lethe_projections, lethe_server, lethe_vllm\n"
        "from importlib import metadata, resources\n"
        "for package in (lethe_projections, lethe_server, lethe_vllm):\n"
        "    print(package.__file__)\n"
        "for group in ('vllm.general_plugins', 'vllm.endpoint_plugins', 'console_scripts'):\n"
        "    print(metadata.entry_points(group=group)['lethe'].load().__module__)\n"
        "data = resources.files('lethe_projections')\n"
        "print(len((data / 'data' / 'retain.jsonl').read_text().splitlines()))\n"
        "from lethe_projections.evaluation import suite_file\n"
        "print(len(suite_file.packaged('capitals').items))\n"
    )
    said = run(environment / "python", "-c", code, cwd=tmp_path).splitlines()
    assert all(file.startswith(str(environment.parent)) for file in said[:3]), said
    assert said[3:6] == ["lethe_vllm.entry", "lethe_server.entry", "lethe_server.cli"]
    assert all(int(count) > 50 for count in said[6:])


def test_installed_its_command_says_its_version_and_its_help(
    environment: Path, tmp_path: Path
) -> None:
    assert run(environment / "lethe", "--version", cwd=tmp_path) == f"lethe {VERSION}\n"
    assert "serve" in run(environment / "lethe", "--help", cwd=tmp_path)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("serve", "some/model"), "gpu"),
        (("fit", "rocr", "--subject", "France", "--out", "france.safetensors"), "embedded"),
        (("report", ".", "--out", "page.html"), "evaluation"),
    ],
)
def test_installed_without_an_extra_it_says_which_one_a_command_wants(
    environment: Path, tmp_path: Path, command: tuple[str, ...], extra: str
) -> None:
    done = subprocess.run(
        [environment / "lethe", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    [said] = done.stderr.splitlines()
    assert f"pip install 'vllm-lethe[{extra}]'" in said


def test_the_version_stands_in_one_place() -> None:
    sources = [file for name in PACKAGES for file in (ROOT / name).rglob("*.py")]
    sources += [
        file for file in (ROOT / "docker").rglob("*") if file.is_file() and file.suffix != ".pyc"
    ]
    assert [file for file in sources if VERSION in file.read_text()] == []


def test_what_is_unreleased_is_not_called_what_was_released() -> None:
    """The version of a tree with such entries is one before that of the release to come."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## (\d\S*)$", changes, re.MULTILINE)
    if "\n## Unreleased\n" in changes:
        assert Version(VERSION).is_prerelease
        assert Version(VERSION) > max(map(Version, released))
    else:
        assert released[0] == VERSION
