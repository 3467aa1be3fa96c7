"""The forms for issues are such that the hosting platform shows them."""

import subprocess

import pytest

from .places import PROGRAMS, ROOT

FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [("github-issue-forms", "[!c]*.yml"), ("github-issue-config", "config.yml")],
)
def test_a_form_has_its_schema(schema: str, pattern: str) -> None:
    files = sorted(FORMS.glob(pattern))
    assert files
    command = [PROGRAMS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
