"""GET /regions, POST topology-optimization, GET cdn: where traffic goes, and by which way."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sensor.analytics import cdn, geography, topology
from sensor.api.asking import (
    AgentId,
    Settings,
    Store,
    Timeframe,
    WorkspaceId,
    answer,
    of_agent,
    of_workspace,
)
from sensor.api.errors import PROBLEMS
from sensor.api.schemas_places import CDNAnalytics, Region, Topology

router = APIRouter(tags=["places"], responses=PROBLEMS)

Goal = Literal["redundancy", "latency", "cost"]
Price = Annotated[
    float | None, Query(ge=0, le=1e6, allow_inf_nan=False, description="per decimal gigabyte")
]
GOALS: list[Goal] = ["redundancy", "latency", "cost"]


@router.get("/regions", response_model=list[Region])
def list_regions(
    request: Request, store: Store, workspace_id: WorkspaceId, timeframe: Timeframe = "24h"
) -> Response:
    """Octets, errors and latency by region of the remote side, the busiest region first."""
    scope, _ = of_workspace(store, workspace_id, timeframe)
    return answer(request, geography.regions(store, scope))


@router.post("/analytics/network/topology-optimization", response_model=Topology)
def optimize_network_topology(
    request: Request,
    store: Store,
    workspace_id: WorkspaceId,
    optimization_goals: Annotated[list[Goal], Query(max_length=3)] = GOALS,
    timeframe: Timeframe = "24h",
) -> Response:
    """The network that a workspace's agents observed: structure, weak points, busiest paths."""
    scope, _ = of_workspace(store, workspace_id, timeframe)
    found = topology.analyse(store, scope, optimization_goals)
    return answer(request, {"workspace_id": workspace_id, "timeframe": timeframe, **found})


@router.get("/analytics/network/{agent_id}/cdn", response_model=CDNAnalytics)
def get_cdn(
    request: Request,
    store: Store,
    settings: Settings,
    agent_id: AgentId,
    timeframe: Timeframe = "24h",
    cdn_price_per_gb: Price = None,
    origin_price_per_gb: Price = None,
) -> Response:
    """Hit ratios, edges, offload and cost from the CDN's logs; null without them.

    Prices that are not given are those of the configuration.
    """
    who, period = of_agent(store, agent_id, timeframe)
    prices = settings.prices
    found = cdn.analyse(
        store,
        who,
        period,
        cdn_price_per_gb=prices.cdn_per_gb if cdn_price_per_gb is None else cdn_price_per_gb,
        origin_price_per_gb=(
            prices.origin_per_gb if origin_price_per_gb is None else origin_price_per_gb
        ),
    )
    return answer(request, found)
