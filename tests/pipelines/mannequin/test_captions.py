"""Captions name what is painted, in CosmicMan's layout."""

from dataclasses import replace

import numpy as np
from comfyui_figura.pipelines.common.dense_captions import ATTRIBUTES
from comfyui_figura.pipelines.mannequin import captions, classes
from comfyui_figura.pipelines.mannequin.configs import WorldConfig, catalogue, crowd, portraits
from comfyui_figura.pipelines.mannequin.reader import colors
from comfyui_figura.pipelines.mannequin.scene import render


def test_there_are_20_groups_and_21_texts():
    for index in range(40):
        picture = render(catalogue(), 3, index)
        attributes, ids = captions.attribute_groups(picture)
        texts = captions.group_texts(picture)
        assert len(attributes) == len(ids) == 20 and len(texts) == 21
        assert all((a is None) == (i is None) for a, i in zip(attributes, ids, strict=True))
        assert captions.dense_caption(picture) == ", ".join(text for text in texts if text)


def test_ids_name_classes_of_the_part_map():
    for index in range(40):
        picture = render(catalogue(), 4, index)
        present = set(np.unique(picture.parts).tolist())
        for wanted in captions.attribute_groups(picture)[1]:
            assert wanted is None or (wanted and set(wanted) <= present | {0})


def test_what_the_frame_cuts_off_is_not_named():
    headshots = 0
    for index in range(80):
        picture = render(catalogue(), 5, index)
        attributes, _ = captions.attribute_groups(picture)
        shoes = np.isin(picture.parts, (classes.LEFT_SHOE, classes.RIGHT_SHOE)).sum()
        assert (attributes[captions.SHOES] is not None) == (shoes >= 4)
        if picture.people[0].shot == "headshot":
            headshots += 1
            assert attributes[captions.BOTTOMS] is None and "headshot" in captions.dense_caption(picture)
    assert headshots


def test_keys_are_those_of_the_layout():
    """A key outside the layout would be lost without a word."""
    for index in range(60):
        groups, _ = captions.attribute_groups(render(replace(catalogue(), wraps=0.5), 6, index))
        for (keys, noun), values in zip(ATTRIBUTES, groups, strict=True):
            assert values is None or set(values) <= {*keys, noun}


def test_colours_of_top_bottom_dress_and_shoes_are_in_the_dense_caption():
    for index in range(60):
        picture = render(portraits(), 7, index)
        look, caption = picture.people[0].look, captions.dense_caption(picture)
        for garment in (look.top, look.bottom, look.dress):
            if garment is not None:
                assert garment.color in caption and garment.kind in caption


def test_a_sentence_counts_people_and_names_the_style():
    for index in range(30):
        picture = render(crowd(), 8, index)
        sentence = captions.sentence(picture)
        shown = sum(bool(person.box.any()) for person in picture.people)
        assert sentence.startswith(captions.STYLE_WORDS[picture.style])
        assert captions.NUMBERS[shown] in sentence or shown == 1
        assert "a orange" not in sentence and "a elderly" not in sentence


def test_a_sentence_on_nobody_ends_there():
    picture = render(crowd(), 8, 1)
    away = tuple(replace(person, box=np.zeros(4, np.float32)) for person in picture.people)
    assert captions.sentence(replace(picture, people=away)).split(" of ")[1].startswith("nobody, ")
    assert not captions.sentence(replace(picture, people=away)).endswith(": ")


def test_what_is_worn_underneath_or_behind_is_not_named():
    """Sleeves under a coat, and a tie on a chest that is turned away."""
    coats = backs = fronts = 0
    for index in range(120):
        config = WorldConfig(
            128, 96, shots=("full_body",), families=("standing", "back view"), accessories=3.0
        )
        picture = render(config, 9, index)
        groups, _ = captions.attribute_groups(picture)
        person = picture.people[0]
        if person.look.coat is not None and person.look.top is not None:
            coats += 1
            assert not {"sleeve length", "top length"} & set(groups[captions.TOPS] or {})
        if person.look.tie is not None:
            back = person.skeleton.torso[2, 2] < 0
            backs, fronts = backs + back, fronts + (not back)
            assert (groups[captions.TIES] is None) == back
    assert coats and backs and fronts


def test_headbands_headscarves_and_socks_are_named_where_they_are_seen():
    """And nothing else of a person changes with them."""
    found = set()
    for index in range(60):
        config = replace(catalogue(128, 96), shots=("full_body",), accessories=0.0, scenery=0.0)
        bare, picture = (render(replace(config, wraps=wraps), 9, index) for wraps in (0.0, 1.0))
        look, (groups, ids) = picture.people[0].look, captions.attribute_groups(picture)
        assert replace(look, wrap=None, socks=None) == bare.people[0].look
        caption = captions.dense_caption(picture)
        for garment, group in ((look.wrap, captions.HEADBAND), (look.socks, captions.SOCKS)):
            if garment is None:
                continue
            group = captions.HEADSCARF if garment.kind == "headscarf" else group
            assert groups[group] is not None and f"{garment.color} " in groups[group]["pattern"] + " "
            assert caption.count(garment.kind) == 1
            mask = np.isin(picture.parts, ids[group]) & (picture.image != bare.image).any(-1)
            shown = np.median(picture.image[mask], 0)
            if garment.pattern == "solid" and mask.sum() > 15:
                assert colors.name_color("top", shown) == garment.color
                found.add(garment.kind)
    assert found == {"headband", "headscarf", "socks"}
