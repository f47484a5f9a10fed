"""Label sets: the 18 clothes classes of part maps, the 25 of DensePose, the 17 COCO keypoints."""

CLOTHES_CLASSES = (
    "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress", "belt",
    "left shoe", "right shoe", "face", "left leg", "right leg", "left arm", "right arm", "bag", "scarf",
)  # fmt: skip
BACKGROUND, HAT, HAIR, SUNGLASSES, UPPER, SKIRT, PANTS, DRESS, BELT = range(9)
LEFT_SHOE, RIGHT_SHOE, FACE, LEFT_LEG, RIGHT_LEG, LEFT_ARM, RIGHT_ARM, BAG, SCARF = range(9, 18)

KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
)  # fmt: skip
JOINTS = tuple(
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in "lr"
)
"""The skeleton's names of keypoints 5..16."""

# Colours 0..17 of the palette PNGs: the usual bit-interleaved label palette, as in the published parsing
# maps.
PALETTE: tuple[int, ...] = tuple(
    sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
    for index in range(256)
    for channel in range(3)
)
