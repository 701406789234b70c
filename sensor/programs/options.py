"""Kinds of option that more than one command has."""

from typing import Any

import click

from sensor.model.address import pack_prefix


class LocalPrefix(click.ParamType[str]):
    """A CIDR or an address."""

    name = "CIDR"

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        try:
            pack_prefix(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value
