"""The app of the server behind `medseg ui`: MLflow's own, without its assistant and its servers of language models.

MLflow finds it by the entry point `mlflow.app`, under the name `medseg`. The assistant runs shell commands for
whoever opens the page, the gateway calls models on the internet, and neither has a place beside patients' data.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mlflow.server.fastapi_app import app as whole

from medseg.tracking.mlflow.page.view import VIEWS, rank

_CLOSED = re.compile(r"^/((ajax-)?api/\d\.\d/mlflow/(assistant|gateway|jobs|mcp[^/]*)|gateway|v1)(/|$)")
_RUNS = re.compile(r"^/(graphql|(ajax-)?api/\d\.\d/mlflow/runs/(get|search))$")

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
Send = Callable[[Message], Awaitable[None]]


class Page:
    """Answers what MLflow's app answers, but for what is closed, and with a start page that begins with the runs.

    Args:
        whole: MLflow's app (ASGI).
    """

    def __init__(self, whole: Callable[..., Awaitable[None]]) -> None:
        self._whole = whole

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer one request (ASGI)."""
        path = scope.get("path", "")
        if scope["type"] in ("http", "websocket") and _CLOSED.search(path):
            await _refuse(scope, send)
        elif scope["type"] == "http" and path in ("/", "/index.html"):
            fresh = [pair for pair in scope["headers"] if not pair[0].startswith(b"if-")]
            await self._whole({**scope, "headers": fresh}, receive, _Changed(send, _begun))
        elif scope["type"] == "http" and _RUNS.search(path):
            await self._whole(scope, receive, _Changed(send, _scores_first))
        else:
            await self._whole(scope, receive, send)


def _scores_first(content: bytes) -> bytes:
    """An answer with the scores of each run before its other metrics: a comparison of runs begins with the first."""
    try:
        answer = json.loads(content)
    except ValueError:
        return content
    _sort_metrics(answer)
    return json.dumps(answer).encode()


def _sort_metrics(answer: Any) -> None:
    if isinstance(answer, list):
        for each in answer:
            _sort_metrics(each)
    elif isinstance(answer, dict):
        for key, value in answer.items():
            if key == "metrics" and isinstance(value, list) and all("key" in each for each in value):
                value.sort(key=lambda each: rank(str(each["key"])))
            else:
                _sort_metrics(value)


async def _refuse(scope: Message, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Not part of medseg's page."})


def _begun(page: bytes) -> bytes:
    """The start page with what it begins with."""
    views = os.environ.get(VIEWS, "{}").replace("<", "\\u003c")  # no name of a metric ends the script
    return page.replace(b"<head>", b"<head>" + _BEGIN.replace("VIEWS", views).encode(), 1)


class _Changed:
    """Sends an answer changed, if it is none of an error.

    Args:
        send: Sends one message (ASGI).
        change: The whole body before and after.
    """

    def __init__(self, send: Send, change: Callable[[bytes], bytes]) -> None:
        self._send = send
        self._change = change
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        body = self._change(self._body) if self._start["status"] == 200 else self._body
        kept = [pair for pair in self._start["headers"] if pair[0] not in (b"content-length", b"etag")]
        length = (b"content-length", str(len(body)).encode())
        await self._send({**self._start, "headers": [*kept, length, (b"cache-control", b"no-store")]})
        await self._send({"type": "http.response.body", "body": body})


app = Page(whole)
