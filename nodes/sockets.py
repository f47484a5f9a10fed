"""Our own socket types, declared once. ComfyUI's own types come first wherever they fit."""

from .compat import io

StyleGAN = io.Custom("FIGURA_STYLEGAN")  # a generator in a ModelPatcher
Ws = io.Custom("FIGURA_WS")  # Latents: ws [B, num_ws, w_dim], their seeds, edits to be applied
Edit = io.Custom("FIGURA_EDIT")  # a direction in w or in styles, at strength 1
Perceptual = io.Custom("FIGURA_PERCEPTUAL")  # a measure of likeness (LPIPS …) in a ModelPatcher
Encoder = io.Custom("FIGURA_STYLEGAN_ENCODER")  # an e4e encoder in a ModelPatcher
Alignment = io.Custom("FIGURA_ALIGNMENT")  # a list: for each aligned picture, where it was cut from its photo
Parts = io.Custom("FIGURA_PARTS")  # a list of reference parts
Parts2Whole = io.Custom("FIGURA_PARTS2WHOLE")  # its reference UNet, pose guider and image projections
PartsBank = io.Custom("FIGURA_PARTS_BANK")  # reference parts as the reference UNet saw them
Caption = io.Custom("FIGURA_CAPTION")  # body groups of a caption
PoseKeypoint = io.Custom("POSE_KEYPOINT")  # OpenPose dictionaries, as other packs use them
