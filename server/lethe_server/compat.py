"""Every private name of vLLM that the server touches, in one file.

    OpenAIServingModels.is_base_model, .model_name, .show_available_models; ModelCard, ModelList
    ServeSubcommand, FlexibleArgumentParser, cli_env_setup
    ModelConfig.max_logprobs, .logprobs_mode, .dtype, .quantization
    configure_logging_from_args                   from 0.31 on; 0.30 has no options for its log

The first line is for the list of models, the model's configuration for scores and for evidence.
The others are what `vllm serve` runs: the command `vllm` itself asks for the metadata of a
distribution of that name, which the CPU build has not.
Tried with the versions in `lethe_vllm.compat.TRIED`.
"""

import argparse
import asyncio
from typing import Any

from vllm import logger
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.entrypoints.openai.models.serving import OpenAIServingModels
from vllm.entrypoints.serve.engine.protocol import ModelCard, ModelList
from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
from vllm.utils.argparse_utils import FlexibleArgumentParser

from lethe_server import models
from lethe_server.serving import Serving

UNBOUNDED = 20
"""Likeliest tokens to ask for where the engine sets no bound; its default bound."""


class VariantModels(OpenAIServingModels):
    """vLLM's list of models, with the variants in it. Made by `list_variants`."""

    lethe: Serving

    def is_base_model(self, model_name: str) -> bool:
        """Whether a name is served by the base model's weights."""
        served: bool = super().is_base_model(model_name)
        return served or models.is_variant(model_name, self.lethe)

    def model_name(self, lora_request: Any = None) -> str:
        """What an answer calls the model."""
        return models.answering(super().model_name(lora_request))

    async def show_available_models(self) -> ModelList:
        """The answer to /v1/models."""
        found = await super().show_available_models()
        first = found.data[0]
        found.data = [card for card in found.data if models.is_shown(card.id, self.lethe)]
        found.data.extend(
            ModelCard(root=first.root, max_model_len=first.max_model_len, **variant)
            for variant in await asyncio.to_thread(models.variants, self.lethe)
        )
        return found


def list_variants(serving_models: OpenAIServingModels, serving: Serving) -> None:
    """Changes the list in place: every endpoint's handler holds this one object."""
    serving_models.lethe = serving
    serving_models.__class__ = VariantModels


def top_logprobs(vllm_config: Any) -> int | None:
    """Of how many likeliest tokens to ask for log-probabilities; None if they would be logits."""
    config = vllm_config.model_config
    if not logprobs_mode(vllm_config).endswith("_logprobs"):
        return None
    # Less than 0 is the whole vocabulary, which is not affordable at every token.
    return UNBOUNDED if config.max_logprobs < 0 else config.max_logprobs


def logprobs_mode(vllm_config: Any) -> str:
    """What requests for log-probabilities get: raw or processed, logprobs or logits."""
    mode: str = vllm_config.model_config.logprobs_mode
    return mode


def precision(vllm_config: Any) -> tuple[str, str | None]:
    """The number format of the weights, and how they are quantised; None where they are not."""
    config = vllm_config.model_config
    return str(config.dtype).removeprefix("torch."), config.quantization


def parse_serve(arguments: list[str]) -> argparse.Namespace:
    """Parses what follows `vllm serve`; exits with its usage message if it is wrong."""
    parser = FlexibleArgumentParser(prog="lethe")
    commands = parser.add_subparsers(dest="subparser")
    ServeSubcommand().subparser_init(commands)
    parsed: argparse.Namespace = parser.parse_args(["serve", *arguments])
    return parsed


def run_serve(arguments: argparse.Namespace) -> None:
    """Serves until it is stopped."""
    cli_env_setup()
    configure_logging = getattr(logger, "configure_logging_from_args", None)
    if configure_logging is not None:
        configure_logging(arguments)
    command = ServeSubcommand()
    command.validate(arguments)
    command.cmd(arguments)
