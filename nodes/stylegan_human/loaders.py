"""Opens a network file and hands its generator to ComfyUI's model management."""

from .. import host
from ..compat import io, schema
from ..sockets import StyleGAN
from .folders import DEMO, FOLDER


class FiguraStyleGANLoader(io.ComfyNode):
    """Load a StyleGAN-Human or StyleGAN face network."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="FiguraStyleGANLoader",
            display_name="StyleGAN Loader",
            category="figura/stylegan_human",
            description="Loads a StyleGAN network: StyleGAN-Human v1, v2 or v3, or a square one such as the "
            "FFHQ faces. "
            "Reads the released .pkl without executing anything in it, and converted .safetensors.",
            search_aliases=["stylegan", "gan loader", "network pkl", "ffhq"],
            inputs=[
                io.Combo.Input(
                    "network",
                    options=host.list_models(FOLDER, DEMO),
                    tooltip="A .pkl or .safetensors in models/stylegan_human. Names that begin with demo/ "
                    "come with "
                    "the pack. StyleGAN-Human's weights are for non-commercial use; see their licence.",
                ),
            ],
            outputs=[
                StyleGAN.Output(display_name="stylegan", tooltip="The generator, for all StyleGAN nodes.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, network):
        """Load again when the file was changed."""
        return host.file_state(FOLDER, network, DEMO)

    @classmethod
    def execute(cls, network):
        from . import bridge

        return io.NodeOutput(bridge.load(network))
