"""The way back into the photo: nothing changes outside, nothing bright along the seam, nothing shifts."""

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.pose.pose import Pose
from comfyui_figura.pipelines.stylegan_human.alignment.align import AlignConfig, align
from comfyui_figura.pipelines.stylegan_human.alignment.paste import (
    PasteConfig,
    matte,
    paste_all,
    paste_back,
    person_on_white,
)

HEIGHT, WIDTH = 600, 400


def scene():
    """A dark smooth wall, a red figure with an anti-aliased edge, and its mask."""
    y, x = torch.meshgrid(torch.linspace(0, 1, HEIGHT), torch.linspace(0, 1, WIDTH), indexing="ij")
    wall = torch.stack([0.2 + 0.2 * x, 0.25 + 0.1 * y, 0.3 - 0.1 * x], dim=-1)
    distance = ((x - 0.5) / 0.2) ** 2 + ((y - 0.5) / 0.4) ** 2
    mask = ((1 - distance.sqrt()) * 80 + 0.5).clamp(0, 1)
    figure = torch.stack([0.7 + 0.2 * y, 0.2 + 0.3 * x, 0.1 + 0.2 * y], dim=-1)
    return torch.lerp(wall, figure, mask[..., None])[None], mask[None]


def joints():
    people = np.ones((1, 17, 3))
    people[..., :2] = WIDTH / 2, HEIGHT / 2
    return Pose(people, (HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def aligned():
    photo, mask = scene()
    image, record = align(photo, mask, joints())
    return photo, mask, image, record


@pytest.mark.parametrize("outline", ["edited person", "person of the photo"])
@pytest.mark.parametrize("feather", [0.0, 2.0, 8.0])
def test_unedited_it_gives_the_photo_back(aligned, outline, feather):
    """To 3/255 inside, bit for bit where nothing was blended; along the seam, 4 pixels wide, up to a third of
    the contrast, since the wall's share of an edge pixel cannot be known. 8 bits and two resamplings lie
    between.
    """
    photo, mask, image, record = aligned
    pasted = paste_back(photo, image, record, config=PasteConfig(outline, feather))
    error = (pasted.image - photo).abs()
    assert error[pasted.mask == 0].max() == 0
    inner = -torch.nn.functional.max_pool2d(-mask, 9, 1, 4) > 0.999
    assert error[inner].max() < 3 / 255
    assert error.max() < 0.2 and error[pasted.mask > 0].mean() < 2 / 255
    assert (pasted.mask > 0.9)[inner].float().mean() > 0.8 and pasted.mask[mask == 0].mean() < 0.01


def test_no_bright_seam(aligned):
    """A dark figure pasted on the dark wall: no pixel of the seam may be brighter than both."""
    photo, mask, image, record = aligned
    person = torch.from_numpy(person_on_white(image[0].numpy()))[None, ..., None]
    dark = image * (1 - person) + image * 0.4 * person
    soft = torch.nn.functional.avg_pool2d(dark.movedim(-1, 1), 3, 1, 1).movedim(1, -1)  # a generator's edge,
    assert soft[0, 0].max() < 0.7  # and a frame that is not white
    pasted = paste_back(photo, soft, record, config=PasteConfig(feather=0.0))
    seam = (pasted.mask > 0.02) & (pasted.mask < 0.98)
    excess = pasted.image - torch.maximum(photo, torch.full_like(photo, 0.4))
    assert seam.any() and excess[seam].max() < 0.05


def test_the_old_person_who_still_shows_is_told(aligned):
    """A slimmer person leaves parts of the old one uncovered."""
    photo, _, image, record = aligned
    slim = torch.ones_like(image)
    slim[:, :, 200:312] = image[:, :, 200:312]
    pasted = paste_back(photo, slim, record)
    assert pasted.uncovered.max() == 1 and pasted.uncovered.sum() > 1000
    assert torch.allclose(pasted.image[pasted.mask == 0], photo[pasted.mask == 0])
    assert paste_back(photo, image, record, config=PasteConfig(feather=0)).uncovered.mean() < 0.01


def test_a_given_mask_decides(aligned):
    photo, _, image, record = aligned
    left = torch.zeros(1, *image.shape[1:3])
    left[:, :, :256] = 1
    pasted = paste_back(photo, image * 0, record, left, PasteConfig(feather=0))
    x0, _, x1, _ = record.box
    middle = round((x0 + x1) / 2)
    assert (
        pasted.mask[..., middle + 2 :].max() == 0
        and pasted.mask[0, 100:500, middle - 40 : middle - 4].min() == 1
    )


def test_whole_picture_fades_at_its_border(aligned):
    photo, mask, _, _ = aligned
    image, record = align(photo, mask, joints(), AlignConfig(background="keep"))
    pasted = paste_back(photo, image, record, config=PasteConfig("whole picture", 6))
    x0, y0, x1, y1 = (round(side) for side in record.box)
    assert pasted.mask[0, (y0 + y1) // 2, x0] < 0.5 < pasted.mask[0, (y0 + y1) // 2, x0 + 12]
    assert (pasted.image - photo).abs().max() < 0.1


def test_another_size_of_edit(aligned):
    """A 64 x 32 generator's picture lands in the same place."""
    photo, _, image, record = aligned
    small = torch.nn.functional.interpolate(image.movedim(-1, 1), (64, 32), mode="area").movedim(1, -1)
    big, little = (
        paste_back(photo, edit, record, config=PasteConfig(feather=0)).mask for edit in (image, small)
    )
    overlap = (torch.minimum(big, little).sum() / torch.maximum(big, little).sum()).item()
    assert overlap > 0.9


def test_tall_photos_are_reduced_for_alignment_only():
    photo, mask = scene()
    tall = [torch.nn.functional.interpolate(x, scale_factor=4, mode="bilinear") for x in
            (photo.movedim(-1, 1), mask[None])]  # fmt: skip
    photo, mask = tall[0].movedim(1, -1), tall[1][0]
    pose = joints()
    pose = Pose(pose.people * [4, 4, 1], (HEIGHT * 4, WIDTH * 4))
    image, record = align(photo, mask, pose)
    assert record.source_size == (2400, 1600)
    pasted = paste_back(photo, image, record)
    assert pasted.image.shape == photo.shape
    assert (pasted.image - photo)[mask > 0.999].abs().mean() < 2 / 255


def test_enclosed_white_is_clothing_or_a_gap():
    picture = np.full((40, 20, 3), 1.0, np.float32)
    picture[5:35, 4:16] = 0.3
    picture[10:20, 8:12] = 1.0
    assert person_on_white(picture)[15, 10] == 1
    seen_through = np.zeros((40, 20), np.float32)
    assert person_on_white(picture, before=seen_through)[15, 10] == 0
    assert person_on_white(picture)[0, 0] == 0 and person_on_white(picture)[6, 6] == 1


def test_matte_reads_coverage_from_colours():
    """Half-covered edge pixels are found half covered, and their colour is the figure's."""
    picture = np.ones((30, 30, 3), np.float32)
    picture[:, 10:20] = 0.2, 0.3, 0.4
    picture[:, 9] = picture[:, 20] = (np.array([0.2, 0.3, 0.4]) + 1) / 2
    coverage = np.zeros((30, 30), np.float32)
    coverage[:, 9:21] = 1
    colours, found = matte(picture, coverage)
    assert found[15, 9] == pytest.approx(0.5, abs=0.05) and found[15, 15] == 1 and found[15, 5] == 0
    assert np.abs(colours[15, 9] - [0.2, 0.3, 0.4]).max() < 0.05


def test_many_edits_of_one_photo(aligned):
    photo, _, image, record = aligned
    edits = torch.cat([image, image * 0.5, image])
    results = paste_all(photo, edits, [record])
    assert len(results) == 3 and torch.equal(results[0].image, results[2].image)
    assert not torch.equal(results[0].image, results[1].image)
    with pytest.raises(FiguraInputError, match="2 for 3"):
        paste_all(photo, edits, [record, record])


BAD = {
    "photo of another size": ({"photo": torch.zeros(1, 300, 200, 3)}, "very photo"),
    "no alignment": ({"alignment": {"box": 1}}, "alignment"),
    "mask of another size": ({"mask": torch.ones(1, 7, 7)}, "as the edited picture"),
    "unknown outline": ({"config": PasteConfig("shoes")}, "shoes"),
    "feather below nothing": ({"config": PasteConfig(feather=-1)}, "feather"),
    "feather not a number": ({"config": PasteConfig(feather=float("nan"))}, "feather"),
    "tolerance too large": ({"config": PasteConfig(tolerance=2)}, "tolerance"),
    "edited with NaN": ({"edited": torch.full((1, 8, 4, 3), float("nan"))}, "NaN"),
    "edited of two axes": ({"edited": torch.zeros(8, 4)}, "edited picture"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(aligned, case):
    photo, _, image, record = aligned
    changes, words = BAD[case]
    arguments = {"photo": photo, "edited": image, "alignment": record} | changes
    with pytest.raises(FiguraInputError, match=words):
        paste_back(**arguments)


def test_one_pixel_edit_and_an_all_white_one(aligned):
    """Nothing to paste is not an error: the photo comes back, and all of the old person is uncovered."""
    photo, mask, _, record = aligned
    for edit in (torch.ones(1, 1, 1, 3), torch.ones(1, 64, 32, 3)):
        pasted = paste_back(photo, edit, record)
        assert torch.equal(pasted.image, photo) and torch.allclose(pasted.uncovered, mask)


def test_inputs_are_not_written(aligned):
    photo, _, image, record = aligned
    kept = photo.clone(), image.clone(), record.mask.clone()
    paste_back(photo, image * 0.5, record)
    assert torch.equal(photo, kept[0]) and torch.equal(image, kept[1]) and torch.equal(record.mask, kept[2])
