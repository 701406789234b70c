"""The application: endpoints, guard, dashboard."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from anyio import to_thread
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

from sensor import api
from sensor.api import agents, errors, live, network, patterns, places, threats
from sensor.api.security import Guard
from sensor.api.settings import ApiSettings
from sensor.api.stores import Stores
from sensor.store.reading import ReadingStore

NOT_BUILT = """\
The dashboard is not built: run `make build` with Node.js installed, or install a wheel, which
carries it. The API works without: GET /openapi.json lists it.
"""
DESCRIPTION = "Network analytics of one host's packets, or of a fleet's. Figures that cannot be \
known are null. Token: `Authorization: Bearer TOKEN`."


def make_app(settings: ApiSettings, open_store: Callable[[], ReadingStore]) -> FastAPI:
    """A complete application over the store that `open_store` opens."""
    stores = Stores(open_store, settings.limits.stores, settings.limits.store_s)
    following = live.Live(stores, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = settings.limits.threads
        task = asyncio.create_task(following.follow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            stores.close()

    app = FastAPI(
        title="sensor",
        summary=api.__doc__,
        description=DESCRIPTION,
        version="1",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.stores = stores
    app.state.live = following
    errors.install(app)
    for part in (places, patterns, threats, agents, live, network):
        app.include_router(part.router)
    if settings.web is not None and (settings.web / "index.html").is_file():
        # Only the page itself: an answer with what attackers chose beside secrets would
        # tell them apart by its length (BREACH).
        pages = StaticFiles(directory=settings.web, html=True)
        app.mount("/", GZipMiddleware(pages, minimum_size=1024, compresslevel=4))
    else:

        @app.get("/", include_in_schema=False)
        def not_built() -> Response:
            return PlainTextResponse(NOT_BUILT)

    app.add_middleware(Guard, settings=settings)
    return app
