"""GET /regions: where the traffic goes, for the map."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sensor.analytics import geography
from sensor.api.asking import Store, Timeframe, WorkspaceId, answer, of_workspace
from sensor.api.errors import PROBLEMS
from sensor.api.schemas_places import Region

router = APIRouter(tags=["places"], responses=PROBLEMS)


@router.get("/regions", response_model=list[Region])
def list_regions(
    request: Request, store: Store, workspace_id: WorkspaceId, timeframe: Timeframe = "24h"
) -> Response:
    """Octets, errors and latency by region of the remote side, the busiest region first."""
    scope, _ = of_workspace(store, workspace_id, timeframe)
    return answer(request, geography.regions(store, scope))
