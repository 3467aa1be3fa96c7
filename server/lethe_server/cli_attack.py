"""`lethe attack`: whether what a profile hides can be brought back."""

import typer

from lethe_server.cli_attack_probe import probe
from lethe_server.cli_attack_quantise import quantise
from lethe_server.cli_attack_relearn import relearn
from lethe_server.cli_attack_requests import requests

attack_app = typer.Typer(
    help="Try to bring back what a profile hides, and write down how it withstood.",
    no_args_is_help=True,
)
attack_app.command()(probe)
attack_app.command()(requests)
attack_app.command()(relearn)
attack_app.command()(quantise)
