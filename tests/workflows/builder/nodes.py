"""A graph in API form seen through /object_info: what is a widget, what a socket, how big is a node."""

from dataclasses import dataclass, field
from typing import Any

WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
SEEDS = {"seed", "noise_seed"}
UPLOADS = ("image_upload", "video_upload", "audio_upload", "upload")

ROW, WIDGET_ROW, WIDTH, PICTURE = 20, 26, 280, 260
BADGE = 34  # the newer page writes the pack's name below the widgets of a node
TEXT_WIDTH, CHARACTERS_PER_LINE, LINE = 400, 52, 18
SHOWS_PICTURE = {  # canvas nodes that show what went through them
    "PreviewImage",
    "SaveImage",
    "LoadImage",
    "LoadImageMask",
    "MaskPreview",
    "SaveVideo",
}
SHOWN_TEXT = {"PreviewAny": 110}  # height of what a canvas node writes of its input


@dataclass
class Slot:
    """One input of a node type: ``link`` is [id, slot] when it is connected, else ``value`` holds."""

    name: str
    type: str
    options: dict
    optional: bool
    link: list | None = None
    value: Any = None

    @property
    def is_widget(self) -> bool:
        return self.type in WIDGET_TYPES and not self.options.get("forceInput")

    @property
    def multiline(self) -> bool:
        return self.type == "STRING" and bool(self.options.get("multiline"))

    @property
    def has_control(self) -> bool:
        """The page adds a widget after seeds: fixed, increment, decrement, randomize."""
        return self.type == "INT" and (self.name in SEEDS or bool(self.options.get("control_after_generate")))

    @property
    def has_upload(self) -> bool:
        """The page adds an upload button, whose value is saved with the workflow too."""
        return self.type == "COMBO" and any(self.options.get(key) for key in UPLOADS)


@dataclass
class Node:
    """One node of the graph, in the terms of the page."""

    id: str
    type: str
    title: str
    slots: list[Slot]
    outputs: list[tuple[str, str]]  # name, type
    info: dict = field(repr=False)

    @property
    def sockets(self) -> list[Slot]:
        return [slot for slot in self.slots if not slot.is_widget]

    @property
    def widgets(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.is_widget]

    @property
    def sources(self) -> list[str]:
        return [str(slot.link[0]) for slot in self.slots if slot.link]

    def widget_values(self, controls: dict[str, str]) -> list:
        """Values in the page's order, with the extra entries of seeds and upload buttons."""
        values = []
        for slot in self.widgets:
            values.append(slot.value)
            if slot.has_control:
                values.append(controls.get(f"{self.id}.{slot.name}", "randomize"))
        return values + ["image"] * any(slot.has_upload for slot in self.widgets)  # the button comes last

    def size(self) -> tuple[int, int]:
        """Width and height (without the title bar) that hold all sockets, widgets and a picture."""
        texts = [slot for slot in self.widgets if slot.multiline]
        rows = sum(1 + slot.has_control + slot.has_upload for slot in self.widgets) - len(texts)
        height = ROW * max(len(self.sockets), len(self.outputs)) + WIDGET_ROW * rows + 16
        height += sum(_text_height(str(slot.value)) for slot in texts)
        longest = max(
            (len(slot.name) + len(str(slot.value)) for slot in self.widgets if slot not in texts), default=0
        )
        width = TEXT_WIDTH if texts else max(WIDTH, min(460, 90 + 8 * longest))
        height += BADGE if self.type.startswith("Figura") else 0
        height += SHOWN_TEXT.get(self.type, 0)
        return width, height + (PICTURE if self.type in SHOWS_PICTURE else 0)


def _text_height(text: str) -> int:
    lines = sum(1 + len(line) // CHARACTERS_PER_LINE for line in text.split("\n"))
    return max(76, min(300, 20 + LINE * lines))


def read(graph: dict[str, dict], object_info: dict[str, dict]) -> dict[str, Node]:
    """Join the graph with what the server knows of its node types. KeyError names an unknown type."""
    nodes = {}
    for node_id, entry in graph.items():
        info = object_info[entry["class_type"]]
        title = entry.get("_meta", {}).get("title") or info["display_name"] or entry["class_type"]
        outputs = list(zip(info["output_name"], map(_type, info["output"]), strict=True))
        nodes[node_id] = Node(
            node_id, entry["class_type"], title, _slots(entry["inputs"], info), outputs, info
        )
        if strangers := entry["inputs"].keys() - {slot.name for slot in nodes[node_id].slots}:
            raise KeyError(f"{entry['class_type']} ({node_id}) has no input {sorted(strangers)}")
    return nodes


def completed(graph: dict[str, dict], object_info: dict[str, dict]) -> dict[str, dict]:
    """The graph with the defaults of widgets that it leaves out."""
    whole = {}
    for node_id, node in read(graph, object_info).items():
        inputs = {slot.name: slot.link or slot.value for slot in node.slots if slot.link or slot.is_widget}
        whole[node_id] = {**graph[node_id], "inputs": graph[node_id]["inputs"] | inputs}
    return whole


def _slots(inputs: dict, info: dict) -> list[Slot]:
    slots = []
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            options = spec[1] if len(spec) > 1 else {}
            slot = Slot(name, _type(spec[0]), options, group == "optional")
            given = inputs.get(name, _default(spec[0], options) if slot.is_widget else None)
            if isinstance(given, list) and len(given) == 2 and isinstance(given[1], int):
                slot.link, slot.value = given, _default(spec[0], options)
            else:
                slot.value = given
            slots.append(slot)
    return slots


def _type(declared) -> str:
    return "COMBO" if isinstance(declared, list) else declared


def _default(declared, options: dict):
    choices = declared if isinstance(declared, list) else options.get("options", [])
    fallback = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}.get(_type(declared))
    return options.get("default", choices[0] if choices else fallback)
