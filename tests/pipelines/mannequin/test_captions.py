"""Captions name what is painted, in CosmicMan's layout."""

import numpy as np
from comfyui_figura.pipelines.mannequin import captions, classes
from comfyui_figura.pipelines.mannequin.configs import catalogue, crowd, portraits
from comfyui_figura.pipelines.mannequin.scene import render


def test_there_are_20_groups_and_21_texts():
    for index in range(40):
        picture = render(catalogue(), 3, index)
        attributes, ids = captions.attribute_groups(picture)
        texts = captions.group_texts(attributes, picture.people[0].shot)
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
        for (keys, noun), values in zip(
            captions.GROUPS, captions.attribute_groups(render(catalogue(), 6, index))[0], strict=True
        ):
            allowed = {*keys, noun.strip("{}")} if noun.startswith("{") else set(keys)
            assert values is None or set(values) <= allowed


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


def test_nouns_missing_or_null_words_empty_a_group():
    attributes: list = [None] * 20
    attributes[captions.SHOES] = {"material": "leather"}
    attributes[captions.HATS] = {"type": "hat", "material": None}
    assert captions.group_texts(attributes, "side_view") == [""] * 21
