"""What vLLM calls in every HTTP server process (`vllm.endpoint_plugins`).

vLLM logs a factory or an import that fails and serves without it, and every request would then
be answered by the base. So only the standard library is imported up here and the factory does
nothing; what can fail does so in the two hooks below, whose errors stop the server's start.
"""

from argparse import Namespace
from typing import Any


class LetheEndpoints:
    """Satisfies `vllm.plugins.endpoint_plugins.interface.EndpointPlugin`.

    Attributes:
        name: by which `VLLM_PLUGINS` asks for it.
        required_tasks: only servers that generate text.
    """

    name = "lethe"
    required_tasks = ("generate",)

    def attach_router(self, app: Any) -> None:
        """Adds routes, error bodies and the selection of variants to a FastAPI application."""
        from lethe_server import errors, middleware, observing, probes, profiles, refreshing
        from lethe_server.compare import routes as compare
        from lethe_server.experiments import routes as experiments
        from lethe_server.playground import routes as playground
        from lethe_server.policy import reloading

        app.include_router(profiles.router)
        app.include_router(compare.router)
        app.include_router(reloading.router)
        app.include_router(experiments.router)
        playground.files()
        app.include_router(playground.router)
        errors.attach(app)
        # vLLM adds its own after this, so authentication and CORS stay outside of it.
        app.add_middleware(refreshing.RefreshMetrics)
        app.add_middleware(middleware.SelectVariant)
        app.add_middleware(probes.RedWhileSitesAreMissing)
        app.add_middleware(observing.Observe)

    async def init_state(self, engine_client: Any, state: Any, args: Namespace) -> None:
        """Proves that the engine has its sites, before the first request.

        Raises:
            LetheError: it has not, or the folder of profiles holds one that is not for it.
        """
        from lethe_server import compat, serving
        from lethe_server.policy import reloading

        state.lethe = await serving.start(engine_client, state.openai_serving_models)
        compat.list_variants(state.openai_serving_models, state.lethe)
        if state.lethe.policy is not None:
            reloading.on_hangup(state.lethe.policy)


def endpoint_plugin() -> LetheEndpoints:
    """The factory that the entry point names."""
    return LetheEndpoints()
