"""A photo of the data set and its segmentation -> the person on white, as StyleGAN-Human's helper made
SHHQ's.
"""

import numpy as np

from ...common.errors import FiguraInputError


def white_background(
    photo: np.ndarray, segmentation: np.ndarray, blur: int = 3, shade: int = 81
) -> np.ndarray:
    """uint8 [H, W, 3] from a photo and a segmentation of the same shape, white on the person.

    The segmentation is blurred by ``blur``; behind the person lies what byte arithmetic makes of
    (1 - segmentation) * 255, which is segmentation - 1 with 0 turned to 255, blurred by ``shade``: white
    with a faint grey breath along the outline. In numbers: photo * seg + backdrop * (1 - grey seg).
    """
    import cv2

    for name, array in (("photo", photo), ("segmentation", segmentation)):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            raise FiguraInputError(name, f"{array.dtype} {list(array.shape)}", "8-bit colours [H, W, 3]")
    if photo.shape != segmentation.shape:
        raise FiguraInputError(
            "segmentation", f"{segmentation.shape[1]} x {segmentation.shape[0]} pixels",
            f"{photo.shape[1]} x {photo.shape[0]}, as the photo",
        )  # fmt: skip
    segmentation = cv2.blur(segmentation, (blur, blur))
    backdrop = cv2.GaussianBlur(segmentation - np.uint8(1), (shade, shade), 0)  # wraps: 0 becomes 255
    grey = cv2.cvtColor(segmentation, cv2.COLOR_RGB2GRAY)[..., None]
    unit = 1 / 255
    front = (photo * unit) * (segmentation * unit)
    behind = (backdrop * unit) * ((255 - grey) * unit)
    return ((front + behind) * 255).clip(0, 255).astype(np.uint8)
