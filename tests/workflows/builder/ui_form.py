"""The UI form (version 0.4, which every front end reads and writes) of a graph in API form."""

import math
import uuid

from . import layout
from .nodes import Node, read

COLOURS = ("#3f789e", "#88a", "#8a8", "#a1309b", "#b58b2a", "#b06634")
NOTE_WIDTH, NOTE_CHARACTERS, NOTE_LINE = 460, 62, 17


def build(
    name: str, graph: dict[str, dict], notes: dict, object_info: dict, versions: dict[str, str]
) -> dict:
    """The workflow as the page would save it.

    ``notes`` gives title, note (Markdown), models per node, and optionally groups and the control of seeds;
    ``versions`` the ``ver`` to write for "figura" and "comfy-core". Equal inputs give an equal file.
    """
    nodes = read(graph, object_info)
    links = _links(nodes)
    boxes, frames = layout.place(nodes, notes.get("groups") or layout.default_groups(nodes), NOTE_WIDTH + 60)
    deep = layout.depths(nodes)
    order = {node_id: i for i, node_id in enumerate(sorted(nodes, key=lambda n: (deep[n], int(n))))}
    shown = [_node(nodes[n], order[n], boxes[n], links, notes, versions) for n in nodes]
    last_node_id = max(int(node_id) for node_id in nodes) + 1
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"figura/{name}")),
        "revision": 0,
        "last_node_id": last_node_id,
        "last_link_id": len(links),
        "nodes": [_note(last_node_id, len(nodes), notes["note"]), *shown],
        "links": links,
        "groups": [_group(i, title, frames[title]) for i, title in enumerate(frames)],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _links(nodes: dict[str, Node]) -> list[list]:
    links: list[list] = []
    for node in nodes.values():
        for place, slot in enumerate([*node.sockets, *node.widgets]):
            if slot.link:
                source, output = str(slot.link[0]), slot.link[1]
                kind = nodes[source].outputs[output][1]
                links.append([len(links) + 1, int(source), output, int(node.id), place, kind])
    return links


def _node(
    node: Node, order: int, box: layout.Box, links: list, notes: dict, versions: dict[str, str]
) -> dict:
    ours = node.type.startswith("Figura")
    pack = "figura" if ours else "comfy-core"
    properties = {"cnr_id": pack, "ver": versions[pack], "Node name for S&R": node.type}
    if models := notes.get("models", {}).get(node.id):
        properties["models"] = models
    entry = {
        "id": int(node.id),
        "type": node.type,
        "pos": [round(box.x), round(box.y)],
        "size": [round(box.width), round(box.height)],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": _inputs(node, links),
        "outputs": _outputs(node, links),
        "properties": properties,
        "widgets_values": node.widget_values(notes.get("control", {})),
    }
    if node.title != (node.info["display_name"] or node.type):
        entry["title"] = node.title
    return entry


def _inputs(node: Node, links: list) -> list[dict]:
    into = {link[4]: link[0] for link in links if link[3] == int(node.id)}
    entries = []
    for place, slot in enumerate([*node.sockets, *node.widgets]):
        entry = {"name": slot.name, "type": slot.type, "link": into.get(place)}
        if slot.is_widget:
            entry["widget"] = {"name": slot.name}
        if slot.optional and not slot.is_widget:
            entry["shape"] = 7
        entries.append(entry)
    return entries


def _outputs(node: Node, links: list) -> list[dict]:
    entries = []
    for place, (name, kind) in enumerate(node.outputs):
        out = [link[0] for link in links if link[1] == int(node.id) and link[2] == place]
        entries.append({"name": name, "type": kind, "slot_index": place, "links": out or None})
    return entries


def _note(node_id: int, order: int, text: str) -> dict:
    lines = sum(math.ceil(max(1, len(line)) / NOTE_CHARACTERS) for line in text.split("\n"))
    return {
        "id": node_id,
        "type": "MarkdownNote",
        "pos": [0, layout.GROUP_TITLE + layout.TITLE],
        "size": [NOTE_WIDTH, 60 + NOTE_LINE * lines],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "About this workflow",
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }


def _group(index: int, title: str, box: layout.Box) -> dict:
    return {
        "id": index + 1,
        "title": title,
        "bounding": [round(box.x), round(box.y), round(box.width), round(box.height)],
        "color": COLOURS[index % len(COLOURS)],
        "font_size": 24,
        "flags": {},
    }
