"""Failures as answers: `{"error", "detail"}`, and in OpenAPI on every endpoint."""

import logging
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from sensor.analytics.series import BadTimezone
from sensor.analytics.timeframe import BadTimeframe
from sensor.api.asking import NotKnown
from sensor.api.stores import Busy
from sensor.errors import SensorError, one_line

LOG = logging.getLogger("sensor.api")


class Problem(BaseModel):
    """What was wrong."""

    error: str
    detail: Any = None


MEANING = {
    400: "The question makes no sense; `detail` says what would",
    401: "No token, or a wrong one",
    403: "The request comes from another site",
    404: "No such agent or workspace",
    413: "The request's body is too large",
    421: "The request is for another host",
    422: "A parameter is not of its type; `detail` lists them",
    503: "The store cannot be read now",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text} for status, text in MEANING.items()
}


def problem(status: int, error: str, detail: Any = None) -> Response:
    headers = {"retry-after": "2"} if status == 503 else None
    return JSONResponse({"error": error, "detail": detail}, status, headers)


def install(app: FastAPI) -> None:
    """Every way a question can fail."""

    @app.exception_handler(BadTimezone)
    async def bad_timezone(_request: Request, error: BadTimezone) -> Response:
        return problem(400, "not a time zone", str(error))

    @app.exception_handler(BadTimeframe)
    def _timeframe(_request: Request, error: Exception) -> Response:
        return problem(400, "not a timeframe", str(error))

    @app.exception_handler(NotKnown)
    def _not_known(_request: Request, error: Exception) -> Response:
        return problem(404, "not known", one_line(str(error)))

    @app.exception_handler(RequestValidationError)
    def _types(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        # Not the input itself: it may be anything, and of any length.
        detail = [{"where": list(map(str, one["loc"])), "what": one["msg"]} for one in found]
        return problem(422, "a parameter is not of its type", detail)

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        answer = problem(error.status_code, error.detail.lower())
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Busy)
    def _busy(_request: Request, error: Exception) -> Response:
        return problem(503, "busy", str(error))

    @app.exception_handler(SensorError)
    def _store(_request: Request, error: Exception) -> Response:
        LOG.error("%s", one_line(str(error)))
        return problem(503, "the store cannot be read")

    @app.exception_handler(Exception)
    def _bug(request: Request, error: Exception) -> Response:
        LOG.error("%s %s", one_line(request.url.path), msgspec.json.encode(repr(error)[:500]))
        return problem(500, "our fault")
