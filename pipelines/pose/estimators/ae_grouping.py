"""Joints to people by associative embedding (Newell et al. 2017), as HigherHRNet's release does it.

Peaks of each joint's heat map are handed to the person whose tags are nearest (Hungarian assignment); places
are refined below a pixel (DARK, Zhang et al. 2020, in its unbiased form, Huang et al. 2020), and joints
that no peak was found for are looked for where heat is high and the tag fits. Heat maps are only read: the
original writes into them, which on the CPU spoils its own last step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

JOINT_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)


@dataclass(frozen=True)
class GroupingConfig:
    """How peaks become people.

    Attributes:
        max_people: peaks considered of each joint.
        threshold: least heat of a peak.
        tag_threshold: farthest tag that still belongs to a person.
        window: width of the neighbourhood a peak must be highest in.
    """

    max_people: int = 30
    threshold: float = 0.1
    tag_threshold: float = 1.0
    window: int = 5


def group(
    heatmaps: Tensor, tags: Tensor, config: GroupingConfig | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find everybody in one picture.

    Args:
        heatmaps: [K, H, W].
        tags: [K, H, W, L].

    Returns:
        people [P, K, 3 + L] (x, y in heat map pixels, score, tag) and scores [P], not sorted.
    """
    config = config or GroupingConfig()
    people = match(*peaks(heatmaps, tags, config), config)
    scores = people[..., 2].mean(1) if len(people) else np.zeros(0, np.float32)
    heat, tag = heatmaps.float().cpu().numpy(), tags.float().cpu().numpy()
    people[..., :2] = dark_udp(people[..., :2], heat)
    return np.array([fill(heat, tag, person) for person in people]).reshape(people.shape), scores


def peaks(heatmaps: Tensor, tags: Tensor, config: GroupingConfig) -> tuple[np.ndarray, np.ndarray]:
    """The highest points of each joint: [K, M, 3] as x, y, score, and their tags [K, M, L]."""
    joints, _, width = heatmaps.shape
    heatmaps = heatmaps.float()
    highest = max_pool2d(heatmaps[None], config.window, 1, config.window // 2)[0]
    flat = (heatmaps * (heatmaps == highest)).flatten(1)
    values, indices = flat.topk(min(config.max_people, flat.shape[1]), dim=1)  # [K, M]
    found = tags.float().flatten(1, 2).gather(1, indices[..., None].expand(-1, -1, tags.shape[-1]))
    places = torch.stack([(indices % width).float(), (indices // width).float(), values], dim=-1)
    return places.cpu().numpy(), found.cpu().numpy().reshape(joints, -1, tags.shape[-1])


def match(places: np.ndarray, tags: np.ndarray, config: GroupingConfig) -> np.ndarray:
    """Hand each peak to a person: [K, M, 3] and [K, M, L] -> [P, K, 3 + L], zeros where no peak was found."""
    from scipy.optimize import linear_sum_assignment

    people: dict[float, np.ndarray] = {}
    members: dict[float, list[np.ndarray]] = {}
    blank = np.zeros((len(places), 3 + tags.shape[-1]), np.float32)

    def found_new(joint: int, place: np.ndarray, tag: np.ndarray) -> None:
        people.setdefault(float(tag[0]), blank.copy())[joint] = np.concatenate([place, tag])
        members[float(tag[0])] = [tag]

    for joint in JOINT_ORDER if len(places) == len(JOINT_ORDER) else range(len(places)):
        good = places[joint, :, 2] > config.threshold
        here, tag = places[joint, good], tags[joint, good]
        if not len(here):
            continue
        if not people:
            for place, its in zip(here, tag, strict=True):
                found_new(joint, place, its)
            continue
        keys = list(people)
        means = np.array([np.mean(members[key], axis=0) for key in keys])
        distance = np.linalg.norm(tag[:, None] - means[None], axis=2)  # [peaks, people]
        cost = np.round(distance) * 100 - here[:, 2:]
        spare = max(len(here) - len(keys), 0)
        cost = np.concatenate([cost, np.full((len(here), spare), 1e10)], axis=1)
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if column < len(keys) and distance[row, column] < config.tag_threshold:
                people[keys[column]][joint] = np.concatenate([here[row], tag[row]])
                members[keys[column]].append(tag[row])
            else:
                found_new(joint, here[row], tag[row])
    return np.array(list(people.values())).reshape(-1, *blank.shape)


def dark_udp(places: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Move whole-pixel peaks [P, K, 2] to the top of the log heat's parabola; heatmaps [K, H, W]."""
    if not len(places):
        return places
    logs = np.pad(np.log(np.clip(_blurred(heatmaps), 0.001, 50)), ((0, 0), (1, 1), (1, 1)), mode="edge")
    x, y = (places[..., axis].astype(int) + 1 for axis in (0, 1))
    joints = np.arange(len(heatmaps))[None]

    def at(dx: int, dy: int) -> np.ndarray:
        return logs[joints, y + dy, x + dx]

    centre, right, left, below, above = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    gradient = np.stack([right - left, below - above], -1) / 2
    dxx, dyy = right - 2 * centre + left, below - 2 * centre + above
    dxy = (at(1, 1) - right - below + 2 * centre - left - above + at(-1, -1)) / 2
    hessian = np.stack([np.stack([dxx, dxy], -1), np.stack([dxy, dyy], -1)], -2)
    hessian = hessian + np.finfo(np.float32).eps * np.eye(2)
    step = np.einsum("pkmn,pkn->pkm", np.linalg.inv(hessian), gradient)
    return (places - step).astype(places.dtype)


def _blurred(heatmaps: np.ndarray) -> np.ndarray:
    """3x3 Gaussian as OpenCV has it for this size (1, 2, 1), edges mirrored."""
    padded = np.pad(heatmaps, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    rows = padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4
    return rows[..., :-2] / 4 + rows[..., 1:-1] / 2 + rows[..., 2:] / 4


def fill(heatmaps: np.ndarray, tags: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Look for the joints that a person [K, 3 + L] still lacks; the others stay as they are."""
    joints, height, width = heatmaps.shape
    known = np.flatnonzero(person[:, 2] > 0)
    missing = np.flatnonzero(person[:, 2] == 0)
    if not len(known) or not len(missing):
        return person
    x = person[known, 0].astype(int).clip(0, width - 1)
    y = person[known, 1].astype(int).clip(0, height - 1)
    mean_tag = tags[known, y, x].mean(0)
    person = person.copy()
    distance = np.sqrt(((tags[missing] - mean_tag) ** 2).sum(-1))
    best = (heatmaps[missing] - np.round(distance)).reshape(len(missing), -1).argmax(1)
    for joint, index in zip(missing, best, strict=True):
        heat, (row, column) = heatmaps[joint], divmod(int(index), width)
        if heat[row, column] > 0:
            right, left = heat[row, min(column + 1, width - 1)], heat[row, max(column - 1, 0)]
            below, above = heat[min(row + 1, height - 1), column], heat[max(row - 1, 0), column]
            place = column + (0.25 if right > left else -0.25), row + (0.25 if below > above else -0.25)
            person[joint, :3] = *place, heat[row, column]
    return person
