"""The four systems' own data set layouts. Each is a storage.Format: files of one item, and label files over
all."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..common.errors import FiguraInputError, FiguraMissingPackage
from ..common.seeds import check_seed
from ..pose.openpose_drawing import draw_openpose
from . import captions, parts
from .configs import WorldConfig, catalogue, crowd, demo, portraits, studio
from .dataset import scored_keypoints
from .encoding import jpeg, palette_png, png
from .scene import Picture, render
from .storage import Encoded, Files, Row

WORLDS = {"cosmicman": catalogue, "humansd": crowd, "parts2whole": studio, "stylegan": portraits}


def lively(height: int = 128, width: int = 64) -> WorldConfig:
    """The demo models' world with livelier poses."""
    return demo(height, width, lively=True)


OTHER_WORLDS = {"demo": demo, "lively": lively}  # any format may hold them


def world_named(name: str, height: int, width: int) -> WorldConfig:
    """The world of that name, of the four systems' or the demo models'."""
    worlds = WORLDS | OTHER_WORLDS
    if name not in worlds:
        raise FiguraInputError("world", repr(name), "one of " + ", ".join(sorted(worlds)))
    return worlds[name](height, width)


class _World:
    """What every layout has: a config and a seed."""

    name = ""

    def __init__(self, config: WorldConfig, seed: int = 0) -> None:
        self.config, self.seed = config, check_seed(seed)
        self.check()

    def check(self) -> None:
        """Refuse a world that the format cannot hold."""

    def describe(self) -> Row:
        """The set's identity for world.json."""
        return {"config": json.loads(json.dumps(asdict(self.config))), "seed": self.seed}

    def draw(self, index: int) -> Picture:
        """Picture ``index`` of this world."""
        return render(self.config, self.seed, index)


class CosmicMan(_World):
    """``data/img``, ``data/segm`` (palette PNG, classes 0..17) and parquet label files of up to 1000 rows.

    The label files of a plain world (configs.demo) also have a column ``caption``, the short sentence; their
    attributes are those that the sentence names.
    """

    name = "cosmicman"
    SHARD = 1000
    COLUMNS = ("path", "segm_path", "height", "width", "aa_text", "aa_ids", "person_type")

    def check(self) -> None:
        """One person per picture: the attributes of a row belong to one."""
        if self.config.people != (1, 1):
            raise FiguraInputError(
                "people", str(self.config.people), "one person per picture", "cosmicman rows are one"
            )
        _pyarrow()

    def encode(self, index: int) -> Encoded:
        """One picture, its part map and its row."""
        picture = self.draw(index)
        row = self.row(picture)
        files = {row["path"]: png(picture.image), row["segm_path"]: palette_png(picture.parts)}
        return Encoded({f"data/{path}": data for path, data in files.items()}, row)

    def row(self, picture: Picture) -> Row:
        """What the label files say of a picture."""
        plain = self.config.plain
        texts, ids = captions.short_attributes(picture) if plain else captions.attribute_groups(picture)
        name = f"{picture.index // self.SHARD:05d}/{picture.index:09d}.png"
        height, width = picture.parts.shape
        return {
            "path": f"img/{name}",
            "segm_path": f"segm/{name}",
            "height": str(height),
            "width": str(width),
            "aa_text": json.dumps(texts),
            "aa_ids": json.dumps(ids),
            "person_type": picture.people[0].shot,
            **({"caption": captions.short_caption(picture)} if plain else {}),
        }

    def labels(self, rows: Sequence[Row]) -> Files:
        """The last two shards (the one before the last may just have been filled up)."""
        pa, pq = _pyarrow()
        columns = (*self.COLUMNS, "caption") if self.config.plain else self.COLUMNS
        schema = pa.schema([(column, pa.large_string()) for column in columns])
        last, files = (len(rows) - 1) // self.SHARD, {}
        for number in range(max(0, last - 1), last + 1):
            shard = list(rows[number * self.SHARD : (number + 1) * self.SHARD])
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(shard, schema=schema), buffer)
            files[f"label/mannequin_{number}_part.parquet"] = buffer.getvalue()
        return files


class HumanSD(_World):
    """Human-Art and LAION-Human side by side under one root, with their own mappings and one merged mapping.

    Even items go to Human-Art, odd ones to LAION-Human; every tenth of each is kept for validation.
    ``plain_poses`` writes pose files as plain arrays instead of the released object arrays.
    """

    name = "humansd"
    FOLDERS = {
        "shaded": "3D_virtual_human/garage_kits",
        "flat": "2D_virtual_human/digital_art",
        "cartoon": "2D_virtual_human/cartoon",
        "sketch": "2D_virtual_human/sketch",
    }

    def __init__(self, config: WorldConfig, seed: int = 0, plain_poses: bool = False) -> None:
        self.plain_poses = plain_poses
        super().__init__(config, seed)

    def check(self) -> None:
        """LAION-Human's list of links is a parquet file."""
        _pyarrow()

    def describe(self) -> Row:
        """As every set, and the form of the pose files."""
        return super().describe() | {"plain_poses": self.plain_poses}

    def encode(self, index: int) -> Encoded:
        """One picture, its poses and its entry in the mapping."""
        picture = self.draw(index)
        if index % 2 == 0:
            base, stem, key = "HumanArt", f"{self.FOLDERS[picture.style]}/{index:012d}", f"{index:012d}"
        else:
            base, stem = "Laion/Aesthetics_Human", f"{index // 10000:05d}/{index:09d}"
            key = f"{index:09d}"
        row = {
            "key": key,
            "base": base,
            "split": "validation" if index % 20 >= 18 else "training",
            "img_path": f"{base}/images/{stem}.jpg",
            "pose_path": f"{base}/pose/{stem}.npz",
            "prompt": captions.plain_caption(picture, self.config.plain),
        }
        pose = pose_file(picture, self.plain_poses)
        return Encoded({row["img_path"]: jpeg(picture.image), row["pose_path"]: pose}, row)

    def labels(self, rows: Sequence[Row]) -> Files:
        """Mapping files of each set and split, the merged training mapping, and LAION's parquet of keys."""
        files: Files = {}
        for base in ("HumanArt", "Laion/Aesthetics_Human"):
            for split in ("training", "validation"):
                chosen = [row for row in rows if (row["base"], row["split"]) == (base, split)]
                files[f"{base}/mapping_file_{split}.json"] = _mapping(chosen)
        files["mapping_train.json"] = _mapping([row for row in rows if row["split"] == "training"])
        return files | self._links(rows)

    def _links(self, rows: Sequence[Row]) -> Files:
        pa, pq = _pyarrow()
        shards: dict[str, list[Row]] = {}
        for row in rows:
            if row["base"] != "HumanArt":
                link = f"mannequin://{self.seed}/{int(row['key'])}"
                shards.setdefault(row["img_path"].split("/")[-2], []).append({"url": link, "key": row["key"]})
        files: Files = {}
        for shard, links in shards.items():
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(links), buffer)
            files[f"Laion/Aesthetics_Human/images/{shard}.parquet"] = buffer.getvalue()
        return files


def _mapping(rows: Sequence[Row]) -> bytes:
    entries = {row["key"]: {name: row[name] for name in ("img_path", "pose_path", "prompt")} for row in rows}
    return json.dumps(entries, indent=1).encode()


def pose_file(picture: Picture, plain: bool) -> bytes:
    """Poses of everybody, best score first: the released object array ``arr_0``, or plain arrays.

    Object arrays hold dictionaries with ``keypoints`` float32 [17, 3], ``score`` and ``area`` float32.
    """
    keypoints = scored_keypoints(picture)
    scores = keypoints[..., 2].mean(1).astype(np.float32)
    areas = np.array([(p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) for p in picture.people], np.float32)
    order = np.argsort(-scores, kind="stable")
    keypoints, scores, areas = keypoints[order], scores[order], areas[order]
    buffer = io.BytesIO()
    if plain:
        size = np.array(picture.parts.shape, np.int64)  # height, width
        np.savez(buffer, keypoints=keypoints, scores=scores, areas=areas, size=size)
        return buffer.getvalue()
    people = np.empty(len(scores), object)
    for n in range(len(scores)):
        people[n] = {"keypoints": keypoints[n], "score": scores[n], "area": areas[n]}
    np.savez(buffer, people)
    return buffer.getvalue()


class Parts2Whole(_World):
    """Pairs: a target, its caption, IUV and OpenPose picture, and the parts of the same person in another
    pose with their masks.

    ``rgba`` also writes every part as RGBA picture and lists them in train_rgba.jsonl.
    """

    name = "parts2whole"

    def __init__(self, config: WorldConfig, seed: int = 0, rgba: bool = False) -> None:
        self.rgba = rgba
        super().__init__(config, seed)

    def check(self) -> None:
        """One full-length person: a target shows all parts."""
        if self.config.people != (1, 1):
            raise FiguraInputError("people", str(self.config.people), "one person per picture")

    def describe(self) -> Row:
        """As every set, and whether RGBA parts are written."""
        return super().describe() | {"rgba": self.rgba}

    def encode(self, index: int) -> Encoded:
        """One pair."""
        target = self.draw(index)
        who = "WOMEN" if target.people[0].look.gender == "female" else "MEN"
        target_id, reference_id = (
            f"{who}-Mannequin-id_{index:08d}-01_{take}" for take in ("1_front", "2_side")
        )
        files = {
            f"images/{target_id}.jpg": jpeg(target.image),
            f"densepose/{target_id}_densepose.png": png(target.iuv()),
            f"openpose/{target_id}_openpose.png": png(
                draw_openpose(scored_keypoints(target), *target.parts.shape)
            ),
        }
        appearance, mask, rgba = {}, {}, {}
        for label, (image, inside) in parts.reference_parts(self.config, self.seed, index).items():
            stem = f"{parts.FOLDERS[label]}/{reference_id}"
            alpha = inside.astype(np.uint8) * 255
            appearance[label], mask[label] = f"{stem}_rgb.jpg", f"{stem}_mask.jpg"
            files[appearance[label]], files[mask[label]] = jpeg(image), jpeg(alpha)
            if self.rgba:
                rgba[label] = f"{stem}_rgba.png"
                files[rgba[label]] = png(np.dstack([image, alpha]))
        row = {
            "target_id": target_id,
            "reference_id": reference_id,
            "target": f"images/{target_id}.jpg",
            "caption": captions.plain_caption(target, self.config.plain),
            "appearance": appearance,
            "mask": mask,
            "structure": {kind: f"{kind}/{target_id}_{kind}.png" for kind in ("densepose", "openpose")},
        }
        return Encoded(files, {"row": row, "rgba": rgba, "test": index % 20 == 19})

    def labels(self, rows: Sequence[Row]) -> Files:
        """train.jsonl and test.jsonl (every twentieth pair), and the RGBA list where asked for."""
        train = [row for row in rows if not row["test"]]
        files = {"train.jsonl": _lines([row["row"] for row in train])}
        tests = [row["row"] for row in rows if row["test"]]
        if tests:
            files["test.jsonl"] = _lines(tests)
        if self.rgba:
            files["train_rgba.jsonl"] = _lines([_rgba_row(row) for row in train])
        return files


def _rgba_row(row: Row) -> Row:
    """The row of an RGBA reference: the alpha channel is the mask, so there is no mask entry."""
    return {name: value for name, value in row["row"].items() if name != "mask"} | {"appearance": row["rgba"]}


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class StyleGAN(_World):
    """Aligned PNG pictures twice as high as wide, in folders of 1000."""

    name = "stylegan"

    def check(self) -> None:
        """StyleGAN-Human reads pictures with height = 2 x width."""
        if self.config.height != 2 * self.config.width:
            came = f"{self.config.height} high, {self.config.width} wide"
            raise FiguraInputError("size", came, "a height of exactly twice the width")

    def encode(self, index: int) -> Encoded:
        """One picture."""
        return Encoded({f"{index // 1000:05d}/img{index:08d}.png": png(self.draw(index).image)})

    def labels(self, rows: Sequence[Row]) -> Files:
        """None: the pictures are the data set."""
        return {}


FORMATS = {layout.name: layout for layout in (CosmicMan, HumanSD, Parts2Whole, StyleGAN)}


def open_format(name: str, config: WorldConfig, seed: int = 0, variant: bool = False) -> _World:
    """The layout of that name; ``variant`` asks for its second form (plain poses, RGBA parts)."""
    if name not in FORMATS:
        raise FiguraInputError("format", repr(name), "one of " + ", ".join(FORMATS))
    if name in ("humansd", "parts2whole"):
        return FORMATS[name](config, seed, variant)  # type: ignore[call-arg]
    if variant:
        raise FiguraInputError(
            "variant", f"asked for with format {name}", "humansd (plain poses) or parts2whole (RGBA)"
        )
    return FORMATS[name](config, seed)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FiguraMissingPackage("pyarrow", "parquet label files", "pip install pyarrow") from error
    return pyarrow, pyarrow.parquet
