"""Places for the nodes: groups from left to right, in each group columns by depth, nothing overlapping."""

from dataclasses import dataclass

from .nodes import Node

GAP_X, GAP_Y, TITLE, PADDING, GROUP_TITLE = 70, 30, 34, 24, 46
COLUMN_HEIGHT = 1100
MODELS, INPUTS, SAMPLING, RESULTS = "Models", "What to make", "Sampling", "Result"


@dataclass
class Box:
    """A rectangle on the canvas; for a node, without its title bar, which lies ``TITLE`` above ``y``."""

    x: float
    y: float
    width: float
    height: float


def depths(nodes: dict[str, Node]) -> dict[str, int]:
    """Longest way from a node without sources to each node."""
    found: dict[str, int] = {}

    def depth(node_id: str) -> int:
        if node_id not in found:
            found[node_id] = 1 + max((depth(source) for source in nodes[node_id].sources), default=-1)
        return found[node_id]

    for node_id in nodes:
        depth(node_id)
    return found


def default_groups(nodes: dict[str, Node]) -> dict[str, list[str]]:
    """Group by what a node does: loads, prepares, samples, or comes after sampling."""
    groups: dict[str, list[str]] = {MODELS: [], INPUTS: [], SAMPLING: [], RESULTS: []}
    after: set[str] = set()
    read = {source for node in nodes.values() for source in node.sources}
    deep = depths(nodes)
    for node_id in sorted(nodes, key=lambda n: (deep[n], int(n))):
        node = nodes[node_id]
        samples = any(slot.name == "steps" for slot in node.slots)
        if samples:
            role = SAMPLING
        elif after & set(node.sources) or (node.info.get("output_node") and node_id not in read):
            role = RESULTS
        elif "Loader" in node.type or "loaders" in node.info.get("category", ""):
            role = MODELS
        else:
            role = INPUTS
        if role in (SAMPLING, RESULTS):
            after.add(node_id)
        groups[role].append(node_id)
    return {title: members for title, members in groups.items() if members}


def place(
    nodes: dict[str, Node], groups: dict[str, list[str]], left: float
) -> tuple[dict[str, Box], dict[str, Box]]:
    """Boxes of all nodes and of all groups, the first group's left edge at ``left``."""
    deep = depths(nodes)
    boxes: dict[str, Box] = {}
    frames: dict[str, Box] = {}
    for title, members in groups.items():
        x, bottom = left + PADDING, 0.0
        for column in _columns(members, nodes, deep, boxes):
            width, y = max(nodes[n].size()[0] for n in column), float(GROUP_TITLE + TITLE)
            for node_id in column:
                height = nodes[node_id].size()[1]
                boxes[node_id] = Box(x, y, width, height)
                y += height + GAP_Y + TITLE
            bottom = max(bottom, y - GAP_Y - TITLE)
            x += width + GAP_X
        frames[title] = Box(left, 0, x - GAP_X + PADDING - left, bottom + PADDING)
        left = x - GAP_X + PADDING + GAP_X
    return boxes, frames


def _columns(
    members: list[str], nodes: dict[str, Node], deep: dict[str, int], boxes: dict[str, Box]
) -> list[list[str]]:
    """Members by depth (shallow ones pulled towards their readers), split where a column grows too tall."""
    inner = _inner_depths(members, nodes)
    columns: list[list[str]] = []
    for level in sorted(set(inner.values())):
        column = [n for n in members if inner[n] == level]
        column.sort(key=lambda n: (_mean_height(nodes[n], boxes), deep[n], int(n)))
        columns += _split(column, nodes)
    return columns


def _inner_depths(members: list[str], nodes: dict[str, Node]) -> dict[str, int]:
    inside = {n: nodes[n] for n in members}
    found: dict[str, int] = {}

    def depth(node_id: str) -> int:
        if node_id not in found:
            before = [depth(source) for source in inside[node_id].sources if source in inside]
            found[node_id] = 1 + max(before, default=-1)
        return found[node_id]

    for node_id in members:
        depth(node_id)
    return found


def _mean_height(node: Node, boxes: dict[str, Box]) -> float:
    heights = [boxes[source].y for source in node.sources if source in boxes]
    return sum(heights) / len(heights) if heights else 0.0


def _split(column: list[str], nodes: dict[str, Node]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    used = 0.0
    for node_id in column:
        height = nodes[node_id].size()[1] + GAP_Y + TITLE
        if parts[-1] and used + height > COLUMN_HEIGHT:
            parts.append([])
            used = 0.0
        parts[-1].append(node_id)
        used += height
    return parts
