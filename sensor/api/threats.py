"""GET security-threats: what the rules found in a workspace."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sensor.analytics import threats
from sensor.api.asking import Store, Timeframe, WorkspaceId, answer, of_workspace
from sensor.api.errors import PROBLEMS
from sensor.api.schemas import Threats

router = APIRouter(prefix="/analytics/network", tags=["security"], responses=PROBLEMS)

Kind = Literal["ddos", "intrusion", "scan"]
Severity = Literal["info", "low", "medium", "high", "critical"]
KINDS: list[Kind] = ["ddos", "intrusion", "scan"]


@router.get("/security-threats", response_model=Threats)
def detect_security_threats(
    request: Request,
    store: Store,
    workspace_id: WorkspaceId,
    threat_types: Annotated[list[Kind], Query(max_length=3)] = KINDS,
    severity_threshold: Severity = "medium",
    timeframe: Timeframe = "24h",
    status: Literal["open", "resolved"] | None = None,
    agent_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Security events of a workspace, newest first, with what they add up to."""
    scope, _ = of_workspace(store, workspace_id, timeframe, agent_id)
    found = threats.analyse(
        store,
        scope,
        threat_types=threat_types,
        severity_threshold=severity_threshold,
        status=status,
        limit=limit,
        offset=offset,
    )
    return answer(request, {"workspace_id": workspace_id, "timeframe": timeframe, **found})
