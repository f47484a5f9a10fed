"""Every node of the pack, one line per system."""

from . import base, cosmicman, humansd, parts2whole, pose, stylegan_human
from .compat import ComfyExtension

NODES = [
    *base.NODES,
    *pose.NODES,
    *cosmicman.NODES,
    *humansd.NODES,
    *parts2whole.NODES,
    *stylegan_human.NODES,
]


class FiguraExtension(ComfyExtension):
    """What ComfyUI asks for the list of nodes."""

    async def get_node_list(self):
        """Return the V3 node classes of all systems."""
        return NODES
