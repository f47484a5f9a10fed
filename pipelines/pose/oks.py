"""Object keypoint similarity, COCO's measure of how alike two people's joints are, and removal of doubles."""

import numpy as np

SIGMAS = np.array(
    [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
) / 10  # fmt: skip


def similarity(one: np.ndarray, others: np.ndarray, area: float, areas: np.ndarray) -> np.ndarray:
    """OKS of one person [17, 2+] with others [N, 17, 2+], all joints counted; areas in px²."""
    squared = ((others[..., :2] - one[..., :2]) ** 2).sum(-1)  # [N, 17]
    size = (area + areas)[:, None] / 2 + np.spacing(1)
    return np.exp(-squared / (2 * SIGMAS) ** 2 / size / 2).mean(-1)


def without_doubles(
    people: np.ndarray, scores: np.ndarray, areas: np.ndarray, threshold: float
) -> np.ndarray:
    """Indices of the people to keep, best first: none is more alike to a better one than ``threshold``."""
    order = np.argsort(-scores, kind="stable")
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(int(best))
        alike = similarity(people[best], people[order], float(areas[best]), areas[order])
        order = order[alike <= threshold]
    return np.array(keep, int)
