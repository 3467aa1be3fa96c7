"""The routes under /v1/unlearning/experiments."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Body, FastAPI, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from lethe_server.experiments import export, report
from lethe_server.experiments.assignment import pseudonym
from lethe_server.experiments.documents import (
    MAX_OUTCOMES,
    DeletedExperiment,
    ExperimentDocument,
    ExperimentList,
    ExperimentRequest,
    OutcomeDocument,
    OutcomesAnswer,
    ReportDocument,
    arm_report,
    document,
    ratio,
)
from lethe_server.experiments.experiment import (
    Experiment,
    Outcome,
    Status,
    UnknownExperimentError,
    check_name,
)
from lethe_server.experiments.laboratory import Laboratory
from lethe_server.openapi import ExperimentName, created, refusals, text
from lethe_server.serving import Serving
from lethe_server.strict_route import StrictRoute
from lethe_vllm.errors import UnavailableError


@asynccontextmanager
async def _written_to_the_end(app: FastAPI) -> AsyncIterator[None]:
    # Taken before, because vLLM empties the application's state when it ends.
    laboratory = _serving(app).laboratory
    yield
    await asyncio.to_thread(laboratory.close)


router = APIRouter(
    prefix="/v1/unlearning/experiments",
    tags=["unlearning"],
    lifespan=_written_to_the_end,
    route_class=StrictRoute,
)

Form = Annotated[
    export.Format | None, Query(description="`jsonl` or `csv`; by default as `Accept` says.")
]
Outcomes = Annotated[list[OutcomeDocument], Body(min_length=1, max_length=MAX_OUTCOMES)]


def _serving(app: FastAPI) -> Serving:
    serving: Serving = app.state.lethe
    return serving


def _laboratory(request: Request) -> Laboratory:
    return _serving(request.app).laboratory


@router.post(
    "",
    response_model=ExperimentDocument,
    responses=created(ExperimentDocument) | refusals(400, 404, 409, 413),
)
async def create_experiment(wanted: ExperimentRequest, request: Request) -> JSONResponse:
    """Starts an experiment; the same once more changes nothing."""
    plan = wanted.plan
    for arm in plan.arms:
        await _serving(request.app).resolve(arm.selection)
    async with _audited(request, "create", plan.name, "running"):
        found, is_new = await asyncio.to_thread(_laboratory(request).registry.create, plan)
    return JSONResponse(document(found).model_dump(), status_code=201 if is_new else 200)


@router.get("", responses=refusals())
async def list_experiments(request: Request) -> ExperimentList:
    """Every experiment, by name."""
    found = await asyncio.to_thread(_laboratory(request).registry.list)
    return ExperimentList(data=[document(one) for one in found])


@router.get("/{name}", responses=refusals(404))
async def get_experiment(name: ExperimentName, request: Request) -> ExperimentDocument:
    """One experiment."""
    return document(await asyncio.to_thread(_laboratory(request).registry.get, name))


@router.post("/{name}/stop", responses=refusals(404))
async def stop_experiment(name: ExperimentName, request: Request) -> ExperimentDocument:
    """Lets no request take part from now on; outcomes and reports stay possible."""
    async with _audited(request, "stop", name, "stopped"):
        return document(await asyncio.to_thread(_laboratory(request).registry.stop, name))


@router.delete("/{name}", responses=refusals(404))
async def delete_experiment(name: ExperimentName, request: Request) -> DeletedExperiment:
    """Forgets an experiment and its records."""
    async with _audited(request, "delete", name, None):
        await asyncio.to_thread(_laboratory(request).registry.delete, name)
    return DeletedExperiment(id=name)


@router.post("/{name}/outcomes", responses=refusals(400, 404, 413))
async def add_outcomes(name: ExperimentName, told: Outcomes, request: Request) -> OutcomesAnswer:
    """Records what was measured: all of it, or nothing and an error."""
    for one in told:
        check_name("metric", one.metric)
    return await asyncio.to_thread(_add_outcomes, _laboratory(request), name, told)


@router.get("/{name}/report", responses=refusals(404))
async def get_report(name: ExperimentName, request: Request) -> ReportDocument:
    """What the experiment has shown so far."""
    return await asyncio.to_thread(_report, _laboratory(request), name)


@router.get(
    "/{name}/export",
    response_class=StreamingResponse,
    responses=text(
        {
            "application/jsonl": "A record a line.",
            "text/csv": "The same, below the names of the columns.",
        }
    )
    | refusals(400, 404),
)
async def export_records(
    name: ExperimentName, request: Request, format: Form = None
) -> StreamingResponse:
    """Every exposure and outcome."""
    form = export.chosen(format, request.headers.get("accept", ""))
    laboratory = _laboratory(request)
    experiment = await asyncio.to_thread(_up_to_date, laboratory, name)
    lines = export.lines(laboratory.records.export(experiment), form)
    return StreamingResponse(lines, media_type=export.MEDIA_TYPES[form])


@asynccontextmanager
async def _audited(
    request: Request, action: str, name: str, after: Status | None
) -> AsyncIterator[None]:
    """Announces what the block does to an experiment."""
    serving = _serving(request.app)
    before = await asyncio.to_thread(_status, serving.laboratory, name)
    async with serving.watching.audit.change(f"experiment-{action}", name, before, after):
        yield


def _status(laboratory: Laboratory, name: str) -> Status | None:
    try:
        return laboratory.registry.get(name).status
    except UnknownExperimentError:
        return None


def _up_to_date(laboratory: Laboratory, name: str) -> Experiment:
    """The experiment, once what this process has observed is written."""
    if not laboratory.writer.flush():
        raise UnavailableError(
            "experiments: expected every exposure to be written, found some that wait; see that "
            "the database may be written, and try again"
        )
    return laboratory.registry.get(name)


def _add_outcomes(
    laboratory: Laboratory, name: ExperimentName, told: Sequence[OutcomeDocument]
) -> OutcomesAnswer:
    experiment = _up_to_date(laboratory, name)
    request_ids = sorted({one.request_id for one in told if one.request_id is not None})
    units = laboratory.records.units_of(experiment, request_ids) if request_ids else {}
    rows = [_outcome(experiment, one, units) for one in told]
    recorded = laboratory.records.add_outcomes(experiment, rows)
    return OutcomesAnswer(recorded=recorded, repeated=len(rows) - recorded)


def _outcome(experiment: Experiment, told: OutcomeDocument, units: dict[str, str]) -> Outcome:
    if told.request_id is not None:
        unit = units[told.request_id]
    else:
        unit = pseudonym(experiment.salt, told.unit or "")
    return Outcome(
        experiment=experiment.id,
        id=told.id or uuid.uuid4().hex,
        unit=unit,
        metric=told.metric,
        value=float(told.value),
        is_bool=isinstance(told.value, bool),
        time=time.time(),
    )


def _report(laboratory: Laboratory, name: str) -> ReportDocument:
    experiment = _up_to_date(laboratory, name)
    plan, records = experiment.plan, laboratory.records
    units, served = records.units(experiment), records.served(experiment)
    metrics = report.metrics(plan, records.measured(experiment))
    return ReportDocument(
        id=plan.name,
        status=experiment.status,
        control=plan.control,
        arms=[arm_report(arm, units.get(arm.name, 0), served, metrics) for arm in plan.arms],
        sample_ratio=ratio(report.ratio(plan, units)),
        lost_exposures=experiment.lost,
        unexposed_outcomes=records.unexposed(experiment),
    )
