"""Sizes of the three generator families, as their released files state them. No torch here.

``resolution`` is the HEIGHT of the picture; a picture is ``resolution // 2`` wide unless ``square``.
"""

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class V1Config:
    """StyleGAN (Karras et al. 2019). Defaults are the released 1024x512 model's."""

    resolution: int = 1024
    square: bool = False
    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_channels: int = 3
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    fmap_base: int = 8192
    fmap_max: int = 512
    fused_scale: bool | None = None
    """Kernels of the upsampling convolutions are flipped: always, never, or (None) from 128 pixels width
    on.
    """
    truncation_cutoff: int | None = 8
    """Rows that truncation moves when the caller names none."""

    @property
    def num_ws(self) -> int:
        """Rows of ``ws``: two for each resolution from 4 on."""
        return 2 * self.resolution.bit_length() - 4


@dataclass(frozen=True)
class V2Config:
    """StyleGAN2-ada (Karras et al. 2020). Defaults are the released 1024x512 model's."""

    resolution: int = 1024
    square: bool = False
    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_channels: int = 3
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    w_avg_beta: float | None = 0.995
    channel_base: int = 32768
    channel_max: int = 512
    num_fp16_res: int = 4
    conv_clamp: float | None = 256
    truncation_cutoff: int | None = None

    @property
    def num_ws(self) -> int:
        """Rows of ``ws``: one per convolution and one for the last torgb."""
        return 2 * self.resolution.bit_length() - 4

    def channels(self, resolution: int) -> int:
        """Feature maps of the block whose height is ``resolution``."""
        return min(self.channel_base // resolution, self.channel_max)


@dataclass(frozen=True)
class V3Config:
    """StyleGAN3 (Karras et al. 2021). Defaults are stylegan3-t's at 512x256; ``stylegan3_r`` gives the
    other.
    """

    resolution: int = 512
    square: bool = False
    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_channels: int = 3
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01
    w_avg_beta: float | None = 0.998
    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    output_scale: float = 0.25
    num_fp16_res: int = 4
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256
    magnitude_ema_beta: float = 0.999
    truncation_cutoff: int | None = None

    @property
    def num_ws(self) -> int:
        """Rows of ``ws``: the Fourier input, the layers, and torgb."""
        return self.num_layers + 2


Config = V1Config | V2Config | V3Config
VERSIONS: dict[int, type] = {1: V1Config, 2: V2Config, 3: V3Config}


def version(config: Config) -> int:
    """1, 2 or 3."""
    return next(number for number, family in VERSIONS.items() if isinstance(config, family))


def to_dict(config: Config) -> dict:
    """Plain values for a file's metadata; ``from_dict`` reads them back."""
    return {"version": version(config), **asdict(config)}


def from_dict(values: dict) -> Config:
    """Build the config that ``to_dict`` wrote; unknown names are left out."""
    family = VERSIONS[values["version"]]
    known = {field.name for field in fields(family)}
    return family(**{name: value for name, value in values.items() if name in known})


def stylegan2_human(resolution: int = 1024) -> V2Config:
    """The released v2 models: 1024x512 or 512x256."""
    return V2Config(resolution=resolution)


def stylegan3_r(resolution: int = 512) -> V3Config:
    """stylegan3-r, which the released v3 model was trained with: 1x1 convolutions, radial filters."""
    return V3Config(
        resolution=resolution, channel_base=65536, channel_max=1024, conv_kernel=1, use_radial_filters=True
    )


def tiny(number: int = 2, resolution: int = 64) -> Config:
    """A generator for tests and the demo: same structure, a few channels."""
    if number == 1:
        return V1Config(resolution, z_dim=32, w_dim=32, fmap_base=256, fmap_max=16)
    if number == 2:
        return V2Config(resolution, z_dim=32, w_dim=32, channel_base=512, channel_max=24)
    return V3Config(resolution, z_dim=32, w_dim=32, channel_base=1024, channel_max=16)
