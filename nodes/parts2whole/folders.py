"""Where the released Parts2Whole folders lie in ComfyUI."""

from pathlib import Path

import folder_paths

from ...pipelines.common.errors import FiguraInputError
from .. import host

FOLDERS = ("parts2whole", "diffusers")
host.register_folder("parts2whole")


def folders() -> dict[str, Path]:
    """Released folders by name: those in models/parts2whole and models/diffusers with a reference UNet."""
    roots = [Path(root) for name in FOLDERS for root in folder_paths.get_folder_paths(name)]
    found = [path.parent for root in roots for path in sorted(root.glob("*/reference_unet"))]
    return {path.name: path for path in reversed(found)}


def folder(name: str) -> Path:
    """The folder a combo names; only names that ``folders`` lists are accepted."""
    known = folders()
    if name not in known:
        came = f"'{name}'" if known else f"'{name}', and there is no folder with a reference_unet in it"
        raise FiguraInputError(
            "model", came, "the released Parts2Whole folder, in models/parts2whole or models/diffusers",
            "Put the whole folder there, then press R.",
        )  # fmt: skip
    return known[name]


def fingerprint(name: str | None) -> str:
    """A token that changes when a file of the folder does."""
    path = folders().get(name or "")
    files = sorted(path.rglob("*")) if path else []
    return "".join(
        f"{file.name}{file.stat().st_mtime_ns}{file.stat().st_size}" for file in files if file.is_file()
    )
