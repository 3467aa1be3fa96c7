"""Folders and files, and what is refused of them."""

from pathlib import Path

import pytest

from lethe_projections.errors import LetheError
from lethe_server.attacks import document
from lethe_server.attacks.document import Kind
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import Evidence
from lethe_server.evaluating.split import Split
from lethe_server.report.gather import gather

from .documents import attack, digest, profile, put

FOUND = profile(6)


def with_suite(**more: object) -> Evidence:
    return FOUND.model_copy(update={"suites": [FOUND.suites[0].model_copy(update=more)]})


def with_headline(**more: object) -> Evidence:
    return with_suite(headline=FOUND.suites[0].headline.model_copy(update=more))


NO_SUCH_VALUE = evidence.to_bytes(with_headline(recovered=0.5))


def test_folders_and_files_in_any_order_are_the_same(tmp_path: Path) -> None:
    tried = attack(6, Kind.PROBING)
    folder = put(tmp_path / "a", FOUND, profile(1), tried, attack(1, Kind.REQUESTS))
    for name in ("run.json", "summary.json", "base.jsonl", f"{FOUND.digest}.jsonl"):
        (folder / name).write_bytes(b"{}\n")
    found = gather([folder])
    assert {one.digest for one in found.evidence} == {FOUND.digest, digest(1)}
    assert {one.kind for one in found.attacks} == {Kind.PROBING, Kind.REQUESTS}
    files = sorted(folder.glob(f"{'?' * 64}.*.json"), reverse=True)
    assert gather([*files, folder]) == found


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "anything"
    file.write_bytes(evidence.to_bytes(FOUND))
    assert gather([file]).evidence == (FOUND,)


def test_the_same_profile_measured_in_another_way_is_no_contradiction(tmp_path: Path) -> None:
    ways = [
        FOUND,
        FOUND.model_copy(update={"split": Split.DEVELOPMENT}),
        with_suite(sha256="0" * 64),
    ]
    folders = [put(tmp_path / str(place), one) for place, one in enumerate(ways)]
    assert len(gather(folders).evidence) == 3
    seeds = [attack(1, Kind.RELEARNING, settings={"seed": seed}) for seed in (1, 2)]
    folders = [put(tmp_path / f"seed {one.settings['seed']}", one) for one in seeds]
    assert len(gather(folders).attacks) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FOUND, with_suite(prompts=1)),
        (FOUND, FOUND.model_copy(update={"retain": profile(1).retain})),
        (attack(1, Kind.REQUESTS), attack(1, Kind.REQUESTS, marks={"here": 1.0})),
    ],
)
def test_two_that_contradict_each_other_are_refused(
    one: Evidence, other: Evidence, tmp_path: Path
) -> None:
    folders = [put(tmp_path / "old", one), put(tmp_path / "new", other)]
    says = rf"new.*expected what .*old.*{one.digest[:12]}.*leave out"
    with pytest.raises(LetheError, match=says):
        gather(folders)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.json", b"{", "expected a JSON document, found Expecting"),
        ("x.json", b"[]", r"expected a document of 'lethe eval' or 'lethe attack', found .*\[\]"),
        ("x.json", b'{"profiles": []}', "profiles"),
        ("x.json", b" " * (4 * 1024 * 1024 + 1), "at most 4194304 bytes"),
        ("x.json", b'{"evidence": 1}', "mistake"),
        ("x.json", b'{"attack": 1, "kind": "guessing"}', "mistake"),
        ("x.json", NO_SUCH_VALUE, "the measure 'spelling' at 0.5"),
        ("x.json", evidence.to_bytes(with_headline(neighbours=7.0)), "from 0 to 1, found 7.0"),
        (f"{digest(1)}.evidence.json", evidence.to_bytes(FOUND), "found evidence of"),
        (
            f"{digest(1)}.probing.json",
            document.to_bytes(attack(1, Kind.REQUESTS)),
            "expected probing .* found requests",
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LetheError, match=rf"{name}: .*{says}"):
        gather([tmp_path / name])


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(LetheError, match=r"nowhere: .* found nothing there; run"):
        gather([tmp_path / "nowhere"])
    with pytest.raises(LetheError, match=r"DIGEST\.KIND\.json .* found none; name the folder"):
        gather([tmp_path])
