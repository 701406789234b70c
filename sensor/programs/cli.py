"""The command `sensor`; a command's module is imported when it is run, so --help is instant."""

import os
import sys
from importlib import import_module

import click

from sensor.errors import SensorError
from sensor.model.text import printable

INTERRUPTED = 130

# name: (module, one line of help). A test holds the line against the command itself.
COMMANDS = {
    "cdn": ("sensor.programs.cdn", "Read the logs of a CDN."),
    "config": ("sensor.programs.config", "Check and show the configuration."),
    "demo": ("sensor.programs.demo", "Make a capture with attacks in it and replay it."),
    "doctor": ("sensor.programs.doctor", "Check what the daemon needs, with the mend for each."),
    "events": ("sensor.programs.events", "List security events, or explain one."),
    "interfaces": ("sensor.programs.interfaces", "List the network interfaces of this host."),
    "regions": ("sensor.programs.regions", "Keep your own names of networks."),
    "replay": ("sensor.programs.replay", "Analyse capture files: report, JSON, SQLite."),
    "rules": ("sensor.programs.rules", "List, check, test and explain detection rules."),
    "run": ("sensor.programs.run", "Capture on interfaces and keep what is found."),
    "serve": ("sensor.programs.serve", "Serve the API, the WebSocket and the dashboard."),
    "status": ("sensor.programs.status", "Show how the running daemon is."),
    "top": ("sensor.programs.top", "Watch a sensor's database on the terminal."),
    "report": ("sensor.programs.report", "Show what a database of the sensor holds."),
    "ship": ("sensor.programs.ship", "Ship rows to a central store."),
    "store": ("sensor.programs.store", "Make, upgrade and tidy up a central store."),
    "respond": ("sensor.programs.respond", "Block the sources of attacks for a while (opt-in)."),
}

EXAMPLES = """\b
Examples:
  sensor replay capture.pcapng                    read a report
  sensor replay captures/ --db s.db               a folder, kept in SQLite
  tcpdump -w - | sensor replay - --json           one JSON document
  sensor report --db s.db                         the report again, later
  sensor events --db s.db --severity medium       what the rules found in it
"""


class LazyGroup(click.Group):
    """Knows its commands by name; imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="shadower-sensor", prog_name="sensor")
def cli() -> None:
    """A packet sensor: who talks to whom, how slow, how lossy, over which protocols."""


def main() -> None:
    """Run a command; every way it can end is an exit status of DESIGN 4.1, never a traceback."""
    # NumPy's BLAS would start a spinning thread per core; nothing here multiplies matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        status = cli(prog_name="sensor", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except SensorError as error:
        click.echo(f"sensor: {printable(str(error), 1000)}", err=True)
        status = error.exit_code
    except BrokenPipeError:  # the reader of our output has gone: `sensor replay … | head`
        sys.stderr.close()
        status = 0
    sys.exit(status if isinstance(status, int) else 0)
