"""The demo preset: every picture's short caption names all that was chosen, and its groups are exact."""

import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.text import token_ids
from comfyui_figura.pipelines.mannequin import captions, classes, configs
from comfyui_figura.pipelines.mannequin.dataset import short_item
from comfyui_figura.pipelines.mannequin.palette import CLOTHES, WALLS
from comfyui_figura.pipelines.mannequin.poses import FAMILIES
from comfyui_figura.pipelines.mannequin.scene import render

COUNT = 60


def test_names_of_the_config_are_those_of_the_world():
    assert configs.FAMILIES == tuple(FAMILIES) and configs.WALLS == tuple(WALLS)


@pytest.mark.parametrize("lively", [False, True])
def test_each_choice_is_in_the_caption_and_in_the_picture(lively):
    config = configs.demo(128, 64, lively)
    for index in range(COUNT):
        picture = render(config, 3, index)
        look, caption = picture.people[0].look, captions.short_caption(picture)
        assert look.dress is None and look.coat is None and look.hat is None
        texts, ids = captions.short_groups(picture)
        for garment, group in (
            (look.top, captions.TOPS),
            (look.bottom, captions.BOTTOMS),
            (look.shoes, captions.SHOES),
        ):
            assert texts[group + 1] == f"{garment.color} {garment.kind}" and ids[group]
        assert look.hair.color in texts[captions.HAIR + 1] and picture.backdrop.words in caption
        for text in filter(None, texts):
            assert caption.count(text) == 1, (caption, text)


def test_short_captions_fit_a_token_window_and_each_group_stands_once_in_the_tokens():
    for index in range(COUNT):
        picture = render(configs.demo(), 4, index)
        caption = captions.short_caption(picture)
        ids = token_ids(caption)
        assert len(ids) <= 40
        for text in filter(None, captions.short_groups(picture)[0]):
            piece = token_ids(text)[1:-1]
            starts = [i for i in range(len(ids)) if ids[i : i + len(piece)] == piece]
            assert len(starts) == 1, (caption, text)


def test_masks_of_the_groups_cover_what_their_texts_name():
    item = short_item(configs.demo(), 5, 2)
    picture = render(configs.demo(), 5, 2)
    masks = item["masks"][:, 0].bool().numpy()
    assert (masks[captions.HAIR + 1] == (picture.parts == classes.HAIR)).all()
    assert (masks[captions.TOPS + 1] == (picture.parts == classes.UPPER)).all()
    assert (masks[captions.BACKGROUND + 1] == (picture.parts == 0)).all()
    assert [bool(text) for text in item["texts"]][1:] == [
        bool(m.any()) and bool(t) for m, t in zip(masks[1:], item["texts"][1:], strict=True)
    ]
    assert item["keypoints"].shape == (1, 17, 3)


def test_clothes_colours_are_drawn_evenly():
    """Chance of a colour is one in eight: of 240 each colour comes 30 times, within four deviations."""
    worn = [render(configs.demo(16, 16), 6, index).people[0].look for index in range(240)]
    for pieces in (
        [look.top for look in worn],
        [look.bottom for look in worn],
        [look.shoes for look in worn],
    ):
        counts = [sum(piece.color == color for piece in pieces) for color in CLOTHES]
        assert min(counts) > 30 - 4 * 5.2 and max(counts) < 30 + 4 * 5.2


@pytest.mark.parametrize(
    "bad", [{"walls": ("plaid",)}, {"families": ("flying",)}, {"big": 0.1}, {"big": float("nan")}]
)
def test_unknown_choices_are_refused(bad):
    with pytest.raises(FiguraInputError):
        configs.WorldConfig(**bad)
