"""The app of the server behind `medseg ui`: MLflow's own, without its assistant and its servers of language models.

MLflow finds it by the entry point `mlflow.app`, under the name `medseg`. The assistant runs shell commands for
whoever opens the page, the gateway calls models on the internet, and neither has a place beside patients' data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import mlflow.server
from mlflow.server.fastapi_app import app as whole
from starlette.responses import HTMLResponse, PlainTextResponse

from medseg.tracking.mlflow.page.view import VIEWS

_CLOSED = re.compile(
    r"^/((ajax-)?api/\d\.\d/mlflow/(assistant|gateway|jobs|ui-telemetry|mcp[^/]*)|gateway|v1)(/|$)"
)
_INDEX = Path(mlflow.server.__file__).parent / "js" / "build" / "index.html"

# What the page remembers in the browser: to begin with the runs of trained models, and with nothing open beside them.
_BEGIN = """<style>[data-assistant-ui="true"] { display: none !important; }</style>
<script>
for (const [key, value] of Object.entries({
  "mlflow.assistant.panelOpen_v1": "false",
  "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
  "mlflow.telemetry.info.alert.dismissed_v1": "true",
  "mlflow.settings.telemetry.enabled_v1": "false",
  "mlflow.workflowType_v1": '"machine_learning"',
})) localStorage.setItem(key, value);
for (const [key, value] of Object.entries(VIEWS))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
</script>"""

Message = MutableMapping[str, Any]


class Page:
    """Answers what MLflow's app answers, but for what is closed, and with a start page that begins with the runs."""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request (ASGI)."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path in ("/", "/index.html"):
            views = os.environ.get(VIEWS, "{}").replace("<", "\\u003c")  # no name of a metric ends the script
            begin = _BEGIN.replace("VIEWS", views)
            page = _INDEX.read_text(encoding="utf-8").replace("<head>", f"<head>{begin}", 1)
            frames = {"X-Frame-Options": "SAMEORIGIN", "Cache-Control": "no-store"}
            await HTMLResponse(page, headers=frames)(scope, receive, send)
        elif scope["type"] != "lifespan" and _CLOSED.search(path):
            await PlainTextResponse("Not part of medseg's page.", 404)(scope, receive, send)
        else:
            await whole(scope, receive, send)


app = Page()
