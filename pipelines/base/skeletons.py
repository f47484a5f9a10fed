"""Skeleton pictures for the autoencoder's training mix: HumanSD's look, poses of the library moved at random.

Sixteen bones of COCO's 17 joints in sixteen hues on black, drawn large and averaged down, so that thin lines
stay smooth.
"""

import colorsys

import numpy as np

BONES = (
    (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (5, 11), (6, 12), (11, 13), (12, 14), (13, 15), (14, 16),
)  # fmt: skip
FINE = 4  # drawn so many times larger


def _hue(bone: int) -> tuple[int, ...]:
    return tuple(int(255 * c) for c in colorsys.hls_to_rgb((bone / 16 + 0.01) % 1, 0.6, 0.65))


def draw_random(seed: int, size: tuple[int, int]) -> np.ndarray:
    """One skeleton, uint8 [H, W, 3]; the same seed, the same picture."""
    import cv2

    height, width = size
    rng = np.random.Generator(np.random.PCG64(seed))
    points = _random_joints(rng, height, width) * FINE
    thickness = int(rng.integers(6, 13) * FINE * height / 512 + 0.5) or 1  # 10 at 512 pixels
    canvas = np.zeros((height * FINE, width * FINE, 3), np.uint8)
    for bone, (start, end) in enumerate(BONES):
        a, b = (tuple(int(v) for v in points[joint]) for joint in (start, end))
        cv2.line(canvas, a, b, _hue(bone), thickness)
        for joint in (a, b):
            cv2.circle(canvas, joint, max(1, thickness // 2), _hue(bone), cv2.FILLED)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _random_joints(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Joints [17, 2] in pixels: a pose of the library, mirrored, jittered, scaled into the frame."""
    from ..pose.library import pose_names, ready_pose

    single = [pose.people[0] for pose in map(ready_pose, pose_names()) if len(pose) == 1]
    poses = [joints for joints in single if (joints[:, 2] > 0).all()]
    points = poses[int(rng.integers(len(poses)))][:, :2].copy()
    points -= points.min(0)
    points *= rng.uniform(0.80, 0.95) * height / points[:, 1].max()
    if points[:, 0].max() > width * 0.95:
        points[:, 0] *= width * 0.95 / points[:, 0].max()
    points += rng.normal(0, 0.012 * height, points.shape)
    if rng.random() < 0.5:
        points[:, 0] = points[:, 0].max() - points[:, 0]
    free = np.array((width, height)) - points.max(0)
    return points + np.maximum(free, 0) * rng.random(2)
