"""Documents as evaluations and attacks of a dozen profiles write them, with numbers made up."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

from lethe_server.attacks import document
from lethe_server.attacks.document import Attack, Curve, Kind, Point, SuiteUsed
from lethe_server.evaluating import evidence
from lethe_server.evaluating.evidence import (
    Evidence,
    Headline,
    Measure,
    RetainEvidence,
    SuiteEvidence,
)
from lethe_server.evaluating.split import Split

MODEL, OTHER_MODEL = "c6" * 32, "d7" * 32
SUITE, RETAIN = "5a" * 32, "f1" * 32
FORMS = (
    "spelling", "question", "cloze", "reverse_question", "reverse_cloze", "mixed", "ranking",
    "fill_in", "hint", "prefix", "role_play", "many_shot", "translation",
)  # fmt: skip
SHARE = "recovered / known, over this form's prompts that the base recovers"

# Method, worst form recovered, neighbours kept. Many are as good as can be, two of one method.
PROFILES = (
    ("rocr", 0.0, 1.0), ("lunar", 0.0, 1.0), ("mrp", 0.0, 1.0), ("leace", 0.0, 0.994),
    ("grun", 0.02, 1.0), ("rmu", 0.033, 0.982), ("steer", 0.067, 0.995),
    ("directional ablation", 0.067, 0.42), ("random directions", 0.91, 0.97), ("rad", 0.31, 0.63),
    ("rocr", 0.125, 0.96), ("ridge", 0.02, 0.91),
)  # fmt: skip


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def interval(value: float, by: float = 0.06) -> tuple[float, float]:
    return round(max(0.0, value - by / 2), 6), round(min(1.0, value + by), 6)


def measure(name: str, value: float, **more: object) -> Measure:
    told = {"formula": SHARE, "n": 24, "clusters": 20, "base": 1.0, "never_known": 0.05}
    found = {"name": name, "value": value, "interval": interval(value), **told, **more}
    return Measure.model_validate(found)


def suite(worst: float, kept: float | None, draw: random.Random, **more: object) -> SuiteEvidence:
    others = [round(worst * draw.random(), 6) for _ in FORMS[1:]]
    forget = [measure(name, value) for name, value in zip(FORMS, [worst, *others], strict=True)]
    headline = Headline(worst_form=FORMS[0], recovered=worst, neighbours=kept, unrelated=0.987)
    neighbour = [] if kept is None else [measure(name, kept) for name in FORMS[:5]]
    found = SuiteEvidence(
        name="capitals", version="1", sha256=SUITE, subjects_sha256=None,
        facts={"forget": 31, "neighbour": 19}, prompts=812, headline=headline, forget=forget,
        neighbour=neighbour, unrelated=[measure("question", 0.987)],
        measures=[
            *([] if kept is None else [measure("neighbours", kept)]),
            measure("model utility", 0.001725, formula="harmonic mean", never_known=None),
        ],
    )  # fmt: skip
    return found.model_copy(update=more)


def retain(draw: random.Random) -> RetainEvidence:
    kl = round(0.4 * draw.random() ** 3, 6)
    told = {
        "n": 895,
        "clusters": 93,
        "base": 0.0,
        "never_known": None,
        "interval": (kl / 2, 2 * kl),
    }
    return RetainEvidence(
        sha256=RETAIN, texts=93, measures=[measure("KL", kl, formula="KL(base || variant)", **told)]
    )


def profile(number: int, **more: object) -> Evidence:
    method, worst, kept = PROFILES[number]
    draw = random.Random(number)
    found = Evidence(
        digest=digest(number), method=method, model=MODEL, by="offline",
        engine="transformers 5.19.0", dtype="float32", split=Split.HELD_OUT, max_tokens=24,
        suites=[suite(worst, kept, draw)], retain=retain(draw), left_out=["ranking: it has scopes"],
    )  # fmt: skip
    return found.model_copy(update=more)


def dozen() -> list[Evidence]:
    return [profile(number) for number in range(len(PROFILES))]


def point(at: float, value: float) -> Point:
    value = round(min(1.0, max(0.0, value)), 6)
    return Point(at=at, value=value, interval=interval(value), n=40, clusters=20)


def attack(number: int, kind: Kind, **more: object) -> Attack:
    axis, curves, marks = SHAPES[kind](random.Random(number))
    found = Attack(
        kind=kind, digest=digest(number), method=PROFILES[number][0], model=MODEL,
        engine="transformers 5.19.0", dtype="float32", split=Split.HELD_OUT,
        suites=[SuiteUsed(name="capitals", version="1", sha256=SUITE)],
        settings={"seed": 7, "share": 0.5, "rank": 8, "warm": None}, axis=axis, curves=curves,
        marks=marks,
    )  # fmt: skip
    return found.model_copy(update=more)


def curve(name: str, points: list[Point], control: bool = False) -> Curve:
    return Curve(name=name, control=control, formula=SHARE, points=points)


def probing(draw: random.Random) -> tuple[str, list[Curve], dict[str, float]]:
    def rising(top: float) -> list[Point]:
        return [point(at, top * at / 30 + 0.05 * draw.random()) for at in range(30)]

    with_edit, base, shuffled = rising(0.3), rising(0.95), rising(0.05)
    curves = [
        curve("with the profile", with_edit),
        curve("base", base, control=True),
        curve("labels shuffled", shuffled, control=True),
    ]
    return "block", curves, {"edited first": 8.0, "edited last": 14.0}


def relearning(draw: random.Random) -> tuple[str, list[Curve], dict[str, float]]:
    def rising(top: float) -> list[Point]:
        return [point(at, top * at / 100 + 0.03 * draw.random()) for at in (0, 10, 25, 50, 100)]

    held_out, trained, control = rising(0.4), rising(1.0), rising(0.1)
    curves = [
        curve("held-out part of forget", held_out),
        curve("trained part of forget", trained),
        curve("what does not exist", control, control=True),
    ]
    return "training steps", curves, {}


def quantisation(draw: random.Random) -> tuple[str, list[Curve], dict[str, float]]:
    worst = [point(bits, 0.2 * draw.random()) for bits in (4, 8, 32)]
    base = [point(bits, 1 - 1 / bits) for bits in (4, 8, 32)]
    return "bits", [curve("worst form", worst), curve("base", base, control=True)], {}


def requests(draw: random.Random) -> tuple[str, list[Curve], dict[str, float]]:
    return "requests", [curve("all so far", [point(at, 0.05 * at) for at in range(1, 7)])], {}


SHAPES = {
    Kind.PROBING: probing,
    Kind.RELEARNING: relearning,
    Kind.QUANTISATION: quantisation,
    Kind.REQUESTS: requests,
}


def attacks() -> Iterator[Attack]:
    yield from (attack(number, kind) for number in range(len(PROFILES)) for kind in Kind)


def put(folder: Path, *documents: Evidence | Attack) -> Path:
    folder.mkdir(exist_ok=True)
    for one in documents:
        if isinstance(one, Evidence):
            (folder / evidence.file_name(one.digest)).write_bytes(evidence.to_bytes(one))
        else:
            name = document.file_name(one.digest, one.kind)
            (folder / name).write_bytes(document.to_bytes(one))
    return folder
