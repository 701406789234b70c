"""GET traffic-patterns and slo: how traffic goes over days and weeks, and what was promised."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from sensor.analytics import cost, patterns, slo
from sensor.api.asking import Settings, Store, Timeframe, WorkspaceId, answer, of_workspace
from sensor.api.errors import PROBLEMS

router = APIRouter(prefix="/analytics/network", tags=["patterns"], responses=PROBLEMS)

PatternType = Literal["daily", "weekly", "seasonal", "burst"]
TYPES: list[PatternType] = ["daily", "weekly", "burst"]
TimeZone = Annotated[str, Query(max_length=64, description="of hours and days: Europe/Zurich")]


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class Analysis(Answer):
    """Specification 2.1."""

    traffic_patterns: list[dict[str, Any]]
    anomalies: list[dict[str, Any]]
    peak_patterns: dict[str, Any]
    protocol_analysis: dict[str, Any]
    geographic_patterns: dict[str, Any]
    burst_analysis: dict[str, Any]
    ddos_detection: dict[str, Any]
    bottleneck_analysis: dict[str, Any]


class TrafficPatterns(Answer):
    """What the specification's TrafficPatternAnalyzer gives, and the heat map."""

    workspace_id: str
    timeframe: str
    analysis: Analysis
    optimizations: list[dict[str, Any]]
    risk_assessment: dict[str, Any]
    capacity_planning: dict[str, Any]
    heatmap: dict[str, Any]


class Objectives(Answer):
    """The specification's success metrics, each with its error budget."""

    workspace_id: str
    timeframe: str
    objectives: list[dict[str, Any]]


@router.get("/traffic-patterns", response_model=TrafficPatterns)
def analyze_traffic_patterns(
    request: Request,
    store: Store,
    settings: Settings,
    workspace_id: WorkspaceId,
    pattern_types: Annotated[list[PatternType], Query(max_length=4)] = TYPES,
    agent_id: UUID | None = None,
    timeframe: Timeframe = "28d",
    timezone: TimeZone = "UTC",
) -> Response:
    """Daily, weekly and seasonal patterns, bursts, anomalies, bottlenecks, risk and capacity."""
    scope, _ = of_workspace(store, workspace_id, timeframe, agent_id)
    found = patterns.analyse(
        store,
        scope,
        pattern_types=pattern_types,
        timezone=timezone,
        capacity_mbps=settings.capacity_mbps,
    )
    return answer(request, {"workspace_id": workspace_id, "timeframe": timeframe, **found})


@router.get("/slo", response_model=Objectives)
def get_objectives(
    request: Request,
    store: Store,
    settings: Settings,
    workspace_id: WorkspaceId,
    agent_id: UUID | None = None,
    timeframe: Timeframe = "30d",
) -> Response:
    """Whether the success metrics are met, and what is left of their error budgets."""
    scope, _ = of_workspace(store, workspace_id, timeframe, agent_id)
    prices, now = settings.prices, None
    if prices.billing is not None and prices.baseline is not None:
        now = cost.analyse(store, scope, prices.billing).get("projected_month_cost")
    found = slo.analyse(store, scope, cost=now, baseline_cost=prices.baseline)
    return answer(request, {"workspace_id": workspace_id, "timeframe": timeframe, **found})
