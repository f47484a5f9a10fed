"""What a page does, without the page: queue a graph, follow it on the websocket, fetch what it made."""

import io
import json
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import websocket
from PIL import Image

ENDS = ("execution_success", "execution_error", "execution_interrupted")
PREVIEW, PREVIEW_WITH_METADATA = 1, 4  # types of binary frames
Graph = dict[str, dict]


class Refused(Exception):
    """The server answered 400: ``answer`` is its JSON with ``error`` and ``node_errors``."""

    def __init__(self, answer: dict) -> None:
        super().__init__(json.dumps(answer)[:2000])
        self.answer = answer


@dataclass
class Run:
    """What one prompt did: every event in order, previews as (node id, picture), and its outputs."""

    end: str = ""
    events: list[tuple[str, dict]] = field(default_factory=list)
    previews: list[tuple[str, Image.Image]] = field(default_factory=list)
    outputs: dict[str, dict] = field(default_factory=dict)
    node_errors: dict[str, dict] = field(default_factory=dict)  # of outputs that were left out
    seconds: float = 0.0

    def named(self, kind: str) -> list[dict]:
        return [data for name, data in self.events if name == kind]

    @property
    def error(self) -> dict:
        return next(iter(self.named("execution_error")), {})

    @property
    def progress(self) -> list[tuple[str, int, int]]:
        """(node id, done, total) in the order sent."""
        return [(str(data["node"]), data["value"], data["max"]) for data in self.named("progress")]

    @property
    def cached(self) -> set[str]:
        return {node for data in self.named("execution_cached") for node in data["nodes"]}

    @property
    def executed(self) -> list[str]:
        return [data["node"] for data in self.named("executing") if data["node"]]

    def files(self) -> list[tuple[str, dict]]:
        """(node id, {filename, subfolder, type}) of every file the graph saved or showed."""
        kinds = ("images", "gifs", "video", "videos")
        return [(n, f) for n, out in self.outputs.items() for kind in kinds for f in out.get(kind, [])]


class Client:
    """Speaks to the server at ``url``. One websocket for each prompt, as a freshly opened page has."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read()

    def get_json(self, path: str):
        return json.loads(self.get(path))

    def post(self, path: str, body) -> bytes:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def object_info(self) -> dict[str, dict]:
        return self.get_json("/object_info")

    def free(self) -> None:
        """Make the server forget its models and its cached outputs, so that the next prompt computes all."""
        self.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(0.5)  # the worker wakes for it at once, but must get there before the next prompt

    def upload(self, path: Path, name: str) -> str:
        """Put a picture into the input folder as the page's upload button does; returns the name to use."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        body = head.encode() + b"Content-Type: image/png\r\n\r\n" + path.read_bytes()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        tail = f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(f"{self.url}/upload/image", body + tail, kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["name"]

    def run(self, graph: Graph, on_progress: Callable[[dict], None] | None = None, limit: float = 300) -> Run:
        """Queue ``graph`` and follow it to its end. Refused on a 400, TimeoutError after ``limit`` s."""
        client_id = uuid.uuid4().hex
        channel = websocket.create_connection(f"{self.url.replace('http', 'ws')}/ws?clientId={client_id}")
        try:
            channel.settimeout(limit)
            flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            channel.send(json.dumps(flags))
            begin = time.monotonic()
            answer = self._queue(graph, client_id)
            prompt_id = answer["prompt_id"]
            run = self._follow(channel, prompt_id, on_progress, begin + limit)
            run.seconds, run.node_errors = time.monotonic() - begin, answer["node_errors"]
        finally:
            channel.close()
        run.outputs = self._history(prompt_id)["outputs"]
        return run

    def interrupt(self, prompt_id: str) -> None:
        self.post("/interrupt", {"prompt_id": prompt_id})

    def view(self, file: dict) -> bytes:
        query = {key: file.get(key, "") for key in ("filename", "subfolder", "type")}
        return self.get("/view?" + urllib.parse.urlencode(query))

    def picture(self, file: dict) -> np.ndarray:
        """One output picture as uint8 [H, W, C]."""
        return np.asarray(Image.open(io.BytesIO(self.view(file))).convert("RGB"))

    def _queue(self, graph: Graph, client_id: str) -> dict:
        try:
            return json.loads(self.post("/prompt", {"prompt": graph, "client_id": client_id}))
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise Refused(json.load(error)) from None
            raise

    def _follow(self, channel, prompt_id: str, on_progress, end: float) -> Run:
        run = Run()
        while not run.end:
            if time.monotonic() > end:
                raise TimeoutError(f"the prompt is still running; its last events: {run.events[-3:]}")
            message = channel.recv()
            if isinstance(message, bytes):
                run.previews += _previews(message)
                continue
            event = json.loads(message)
            data = event.get("data", {})
            if data.get("prompt_id") != prompt_id:
                continue
            run.events.append((event["type"], data))
            if event["type"] == "progress" and on_progress:
                on_progress(data)
            if event["type"] in ENDS:
                run.end = event["type"]
        return run

    def _history(self, prompt_id: str) -> dict:
        for _ in range(20):  # written a moment after the last event on the socket
            if entry := self.get_json(f"/history/{prompt_id}").get(prompt_id):
                return entry
            time.sleep(0.1)
        raise TimeoutError(f"prompt {prompt_id} never came into the history")


def _previews(frame: bytes) -> list[tuple[str, Image.Image]]:
    (kind,) = struct.unpack(">I", frame[:4])
    if kind == PREVIEW_WITH_METADATA:
        (size,) = struct.unpack(">I", frame[4:8])
        node = str(json.loads(frame[8 : 8 + size])["node_id"])
        return [(node, Image.open(io.BytesIO(frame[8 + size :])))]
    return [("", Image.open(io.BytesIO(frame[8:])))] if kind == PREVIEW else []
