"""What the experiment routes read and answer."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from lethe_server.documents import Document
from lethe_server.experiments.experiment import MAX_ARMS, Arm, Experiment, Plan
from lethe_server.experiments.records import Served
from lethe_server.experiments.report import Kind, Metric, Ratio
from lethe_server.experiments.statistics import CONFIDENCE
from lethe_server.experiments.taking_part import MAX_REQUEST_ID

MAX_OUTCOMES = 10_000
"""In one request."""

Id = Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_ID, pattern=r"^[ -~]+$")]
"""Printable ASCII."""

Number = Annotated[float, Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False)]
"""Small enough to be squared and summed."""


class ArmDocument(Document):
    """One arm.

    Attributes:
        name: what the experiment calls it.
        profile: `base`, `NAME`, `NAME@DIGEST` or several joined by `+`.
        weight: its share of the units, relative to the others'.
    """

    name: str
    profile: str
    weight: Annotated[float, Field(strict=True)] = 1.0


class ExperimentRequest(Document):
    """An experiment to be created.

    Attributes:
        name: 1 to 64 of a-z, 0-9, ".", "_", "-".
        arms: what each serves.
        control: the arm that differences are from; null for the first.
    """

    name: str
    arms: list[ArmDocument] = Field(min_length=2, max_length=MAX_ARMS)
    control: str | None = None

    @property
    def plan(self) -> Plan:
        """The same, checked.

        Raises:
            SelectionError: a name, a profile or a weight is none.
        """
        arms = tuple(Arm(arm.name, arm.profile, arm.weight) for arm in self.arms)
        return Plan(self.name, arms, arms[0].name if self.control is None else self.control)


class ExperimentDocument(Document):
    """An experiment.

    Attributes:
        id: its name.
        status: whether requests take part.
        arms: in the order of the plan.
        control: the arm that differences are from.
        created: Unix time in seconds.
        stopped: the same; null while it runs.
    """

    id: str
    object: Literal["unlearning.experiment"] = "unlearning.experiment"
    status: Literal["running", "stopped"]
    arms: list[ArmDocument]
    control: str
    created: float
    stopped: float | None


class ExperimentList(Document):
    """OpenAI's form of a list.

    Attributes:
        data: by name.
    """

    object: Literal["list"] = "list"
    data: list[ExperimentDocument]


class DeletedExperiment(Document):
    """The answer to DELETE.

    Attributes:
        id: its name.
        deleted: always true.
    """

    id: str
    object: Literal["unlearning.experiment"] = "unlearning.experiment"
    deleted: Literal[True] = True


class OutcomeDocument(Document):
    """One thing measured, of a unit or of the unit behind a request.

    Attributes:
        unit: as its requests name it.
        request_id: an answer's `X-Request-Id`.
        metric: its name.
        value: a number, or whether something was so.
        id: one that was sent before does not count again; made up without.
    """

    unit: str | None = None
    request_id: Id | None = None
    metric: str
    value: StrictBool | Number
    id: Id | None = None

    @model_validator(mode="after")
    def _of_one(self) -> Self:
        if (self.unit is None) == (self.request_id is None):
            raise ValueError("expected either 'unit' or 'request_id', found both or none")
        return self


class OutcomesAnswer(Document):
    """What became of outcomes.

    Attributes:
        recorded: how many are new.
        repeated: how many were there already.
    """

    object: Literal["unlearning.experiment.outcomes"] = "unlearning.experiment.outcomes"
    recorded: int
    repeated: int


class DifferenceDocument(Document):
    """From the control.

    Attributes:
        value: the arm's less the control's.
        interval: of the value; null where the numbers do not allow one.
        p_value: how often chance alone would show a difference as large; null as well.
    """

    value: float
    interval: tuple[float, float] | None
    p_value: float | None


class MetricDocument(Document):
    """A metric in one arm.

    Attributes:
        kind: rate or mean.
        count: of units that have an outcome.
        value: the rate, or the mean over units; null if no unit has an outcome.
        sd: the standard deviation between units.
        interval: of the value.
        difference: from the control; null for the control itself.
    """

    kind: Kind
    count: int
    value: float | None
    sd: float | None
    interval: tuple[float, float] | None
    difference: DifferenceDocument | None


class ServedDocument(Document):
    """A profile that served an arm.

    Attributes:
        digest: empty for the base, and where none served.
        exposures: how many requests.
        errors: those whose status was 400 or above.
    """

    digest: str
    exposures: int
    errors: int


class ArmReport(ArmDocument):
    """What an arm has shown.

    Attributes:
        units: how many were exposed.
        exposures: how many requests it served.
        errors: exposures whose status was 400 or above.
        served: by what.
        metrics: what was measured, by name.
    """

    units: int
    exposures: int
    errors: int
    served: list[ServedDocument]
    metrics: dict[str, MetricDocument]


class RatioDocument(Document):
    """Whether the arms have as many units as their weights say.

    Attributes:
        p_value: Pearson's chi-square; null where there is nothing to test.
        mismatch: whether chance does not explain it.
    """

    p_value: float | None
    mismatch: bool


class ReportDocument(Document):
    """What an experiment has shown so far.

    Attributes:
        id: the experiment's name.
        status: of the experiment.
        control: the arm that differences are from.
        analysed_by: what is counted.
        confidence: of every interval.
        arms: in the order of the plan.
        sample_ratio: a check of the assignment itself.
        lost_exposures: those that could not be recorded.
        unexposed_outcomes: outcomes of units without an exposure; they count nowhere.
    """

    id: str
    object: Literal["unlearning.experiment.report"] = "unlearning.experiment.report"
    status: Literal["running", "stopped"]
    control: str
    analysed_by: Literal["unit"] = "unit"
    confidence: float = CONFIDENCE
    arms: list[ArmReport]
    sample_ratio: RatioDocument
    lost_exposures: int
    unexposed_outcomes: int


def document(experiment: Experiment) -> ExperimentDocument:
    """An experiment as the routes answer it."""
    return ExperimentDocument(
        id=experiment.name,
        status=experiment.status,
        arms=[ArmDocument(**vars(arm)) for arm in experiment.plan.arms],
        control=experiment.plan.control,
        created=experiment.created,
        stopped=experiment.stopped,
    )


def arm_report(arm: Arm, units: int, served: list[Served], metrics: list[Metric]) -> ArmReport:
    """One arm's part of a report."""
    of = [one for one in served if one.arm == arm.name]
    return ArmReport(
        **vars(arm),
        units=units,
        exposures=sum(one.exposures for one in of),
        errors=sum(one.errors for one in of),
        served=[
            ServedDocument(digest=one.digest, exposures=one.exposures, errors=one.errors)
            for one in of
        ],
        metrics={metric.name: _metric(metric, arm.name) for metric in metrics},
    )


def ratio(found: Ratio) -> RatioDocument:
    """The check of the assignment."""
    return RatioDocument(p_value=found.p_value, mismatch=found.mismatch)


def _metric(metric: Metric, arm: str) -> MetricDocument:
    found = metric.arms[arm]
    difference = found.difference
    empty: dict[str, Any] = {"count": 0, "value": None, "sd": None, "interval": None}
    return MetricDocument(
        kind=metric.kind,
        **(empty if found.estimate is None else vars(found.estimate)),
        difference=None if difference is None else DifferenceDocument(**vars(difference)),
    )
