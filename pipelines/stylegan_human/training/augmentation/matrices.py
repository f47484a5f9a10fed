"""Batches of 3x3 and 4x4 matrices that move pixels and colours. Arguments are numbers or tensors [N]."""

import torch
from torch import Tensor

Entry = Tensor | float


def matrix(*rows: tuple[Entry, ...]) -> Tensor:
    """Rows of numbers and tensors [N] -> [N, rows, columns]; at least one entry must be a tensor."""
    like = next(entry for row in rows for entry in row if isinstance(entry, Tensor))
    entries = [
        entry if isinstance(entry, Tensor) else torch.full_like(like, entry) for row in rows for entry in row
    ]
    return torch.stack(entries, dim=-1).reshape(*like.shape, len(rows), len(rows[0]))


def shift2d(x: Tensor, y: Tensor) -> Tensor:
    """Homogeneous shift of the plane."""
    return matrix((1, 0, x), (0, 1, y), (0, 0, 1))


def stretch2d(x: Tensor, y: Tensor) -> Tensor:
    """Homogeneous scaling of the plane."""
    return matrix((x, 0, 0), (0, y, 0), (0, 0, 1))


def turn2d(angle: Tensor) -> Tensor:
    """Homogeneous rotation of the plane."""
    cosine, sine = angle.cos(), angle.sin()
    return matrix((cosine, -sine, 0), (sine, cosine, 0), (0, 0, 1))


def shift3d(amount: Tensor) -> Tensor:
    """The same shift along all three axes of colour."""
    return matrix((1, 0, 0, amount), (0, 1, 0, amount), (0, 0, 1, amount), (0, 0, 0, 1))


def stretch3d(factor: Tensor) -> Tensor:
    """The same scaling of all three axes."""
    return matrix((factor, 0, 0, 0), (0, factor, 0, 0), (0, 0, factor, 0), (0, 0, 0, 1))


def turn3d(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation about a unit ``axis`` [3] (Rodrigues): cos I + sin [axis]x + (1 - cos) axis axis^T."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], device=angle.device)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turned = torch.zeros(len(angle), 4, 4, device=angle.device)
    turned[:, :3, :3] = cosine * torch.eye(3, device=angle.device) + sine * cross
    turned[:, :3, :3] += (1 - cosine) * torch.outer(axis, axis)
    turned[:, 3, 3] = 1
    return turned
