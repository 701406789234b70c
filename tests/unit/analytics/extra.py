"""The analyses as they are for who did not install the extra `server`."""

import builtins
from typing import Any

import pytest


def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on these cannot be imported."""
    real = builtins.__import__

    def fake(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in {"statsmodels", "ruptures", "scipy"}:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", fake)
