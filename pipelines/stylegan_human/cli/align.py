"""``figura stylegan align | paste | bg-white``: photos made ready for the networks, and the way back."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from ..alignment.folder import Report


@dataclass(frozen=True)
class AlignFolderConfig:
    """Photos of people, each brought on white, centred, 1:2, as StyleGAN-Human wants them."""

    images: Path
    """Folder of photos."""
    outdir: Path = Path("outputs/aligned")
    """Folder for the aligned pictures, their masks and alignments.json."""
    masks: Path | None = None
    """Folder of masks named as the photos; white is the person. Left out: the photos' transparency."""
    segmenter: Path | None = None
    """Folder of a SegFormer that finds people or clothes, for photos without a mask."""
    poses: Path | None = None
    """Folder of pose files (.json, .npz) named as the photos."""
    pose_model: Path | None = None
    """Pose estimator; left out: the first one in the folder named by FIGURA_POSE_ESTIMATORS."""
    threshold: float = 0.1
    """A joint that scores less does not count."""
    height: int = 1024
    """Height of the result; its width is half of it."""
    background: Literal["white", "keep"] = "white"
    """Put the person on white, or keep the photo around them."""
    several: Literal["refuse", "largest"] = "refuse"
    """What to do with several people."""
    touching: Literal["refuse", "allow"] = "refuse"
    """What to do with people cut off at the top."""
    least_joints: int = 15
    """Of 18, how many joints must be seen."""
    device: str = "auto"
    """cpu, cuda, or auto: where the segmenter runs."""


def align(config: Annotated[AlignFolderConfig, tyro.conf.arg(name="")]) -> None:
    """Align a folder of photos; pictures that will not do are named and skipped."""
    from ...common.processes import find_device
    from ...common.progress import console
    from ..alignment.align import AlignConfig, check_config
    from ..alignment.folder import Sources, align_folder
    from ..alignment.person_mask import load_segmenter

    _check_folders(config.outdir, masks=config.masks, poses=config.poses)
    device = str(find_device(config.device))
    sources = Sources(
        config.masks, config.poses,
        load_segmenter(config.segmenter, device) if config.segmenter else None,
        None if config.poses else _pose_finder(config.pose_model, config.threshold),
    )  # fmt: skip
    rules = check_config(AlignConfig(
        (config.height, config.height // 2), config.background, config.several, config.touching,
        config.least_joints,
    ))  # fmt: skip
    _say(align_folder(config.images, config.outdir, sources, rules, console("aligning")), config.outdir)


def _pose_finder(model: Path | None, threshold: float):
    """Poses of pictures already read; the estimator is opened when the first one is asked for."""
    from ...pose.detect import picture_poses
    from ...pose.estimators.estimate import DetectConfig

    return lambda image: picture_poses(image, model, config=DetectConfig(threshold))[0]


def _check_folders(outdir: Path, **given: Path | None) -> None:
    """Refuse folders that are none before any picture is read: else every picture would be skipped for it."""
    from ...common.errors import FiguraInputError
    from ...common.files import check_folder

    check_folder(outdir, "outdir")
    for name, folder in given.items():
        if folder is not None and not folder.is_dir():
            raise FiguraInputError(name, f"'{folder.name}', which is no folder", "a folder")


def _say(report: "Report", outdir: Path) -> None:
    """Name what was skipped; nothing written at all is an error."""
    from ...common.errors import FiguraInputError

    for name, reason in report.skipped.items():
        print(f"skipped {name}: {reason}")
    print(f"{len(report.written)} picture(s) in {outdir}, {len(report.skipped)} skipped")
    if not report.written:
        came = f"{len(report.skipped)} picture(s), all skipped"
        raise FiguraInputError("pictures", came, "a usable one", "The reasons stand above.")


@dataclass(frozen=True)
class PasteFolderConfig:
    """Edited people back in their photos."""

    photos: Path
    """Folder of the photos that were aligned."""
    aligned: Path
    """Folder that figura stylegan align wrote."""
    edited: Path
    """Folder of edited pictures, named as the photos or beginning so (name_smile.png)."""
    outdir: Path = Path("outputs/pasted")
    """Folder for the results."""
    outline: Literal["edited person", "person of the photo", "whole picture"] = "edited person"
    """Whose outline is used."""
    feather: float = 2.0
    """Pixels over which the person fades in."""


def paste(config: Annotated[PasteFolderConfig, tyro.conf.arg(name="")]) -> None:
    """Paste edited people back into the photos they were aligned from."""
    from ...common.progress import console
    from ..alignment.folder import paste_folder
    from ..alignment.paste import PasteConfig

    _check_folders(config.outdir, photos=config.photos, aligned=config.aligned, edited=config.edited)
    rules = PasteConfig(config.outline, config.feather)
    report = paste_folder(
        config.photos, config.aligned, config.edited, config.outdir, rules, console("pasting")
    )
    _say(report, config.outdir)


@dataclass(frozen=True)
class WhiteConfig:
    """Photos and their segmentations -> people on white, as the published bg_white.py."""

    raw_img_dir: Path
    """Folder of photos."""
    raw_seg_dir: Path
    """Folder of segmentations named as the photos; white is the person."""
    outdir: Path = Path("outputs/bg_white")
    """Folder for the results."""


def bg_white(config: Annotated[WhiteConfig, tyro.conf.arg(name="")]) -> None:
    """Put people on white with the data set's own helper."""
    from ...common.images import read_image, write_png
    from ..alignment.align import to_bytes
    from ..alignment.folder import Report, pictures_in
    from ..alignment.white_background import white_background

    _check_folders(config.outdir, raw_img_dir=config.raw_img_dir, raw_seg_dir=config.raw_seg_dir)
    report = Report()
    for path in pictures_in(config.raw_img_dir):
        try:
            photo, seg = (to_bytes(read_image(folder / path.name)[0].numpy())
                          for folder in (config.raw_img_dir, config.raw_seg_dir))  # fmt: skip
            write_png(config.outdir / f"{path.stem}.png", white_background(photo, seg))
            report.written.append(path.stem)
        except (ValueError, OSError) as error:
            report.skipped[path.name] = str(error)
    _say(report, config.outdir)
