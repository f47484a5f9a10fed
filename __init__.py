"""ComfyUI-Figura: CosmicMan, HumanSD, Parts2Whole and StyleGAN-Human as ComfyUI nodes.

Loading this file imports nothing else: ComfyUI calls ``comfy_entrypoint`` when it wants the nodes.
"""

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint():
    """Return the extension that lists our nodes. ComfyUI shows one line of an error here, so log it whole."""
    try:
        from .nodes import FiguraExtension
    except Exception:
        import logging

        logging.getLogger(__name__).exception("Figura: the nodes could not be loaded")
        raise
    return FiguraExtension()
