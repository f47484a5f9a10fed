"""Put the pack into a ComfyUI as a user does: files in custom_nodes, requirements beside ComfyUI's."""

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = "ComfyUI-Figura"  # what `git clone` makes of the repository's name; the dash is the hard case
NOT_FOR_USERS = {"tests", "benchmarks", ".ci"}  # as left out of the registry archive
SAME = {"opencv-python": "opencv-python-headless"}  # one package under two names: the tests need no windows
SUFFIXES = {".py", ".json", ".jpg", ".png", ".js", ".md", ".toml", ".txt", ".safetensors", ".npz", ".pkl"}


def copy_pack(custom_nodes: Path) -> Path:
    """Copy the files git tracks (or, without git, those of a release) into ``custom_nodes``."""
    target = custom_nodes / FOLDER
    for name in tracked_files():
        if Path(name).parts[0] not in NOT_FOR_USERS and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def tracked_files() -> list[str]:
    """Names relative to the root, of every file under git; of every plausible file where there is no git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        return [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.suffix in SUFFIXES)
        return [path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)]


def link_requirements(python: Path, target: Path) -> list[str]:
    """Stand in for ``pip install -r requirements.txt``, which would need a network and change the ComfyUI.

    Of the distributions that requirements.txt asks for (and those they need), the ones that ``python`` lacks
    are linked from the environment of the tests into the folder ``target``. Returns their names.
    """
    target.mkdir(parents=True, exist_ok=True)
    wanted = _closure((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    present = _installed(python)
    missing = [name for name in wanted if not {name, SAME.get(name)} & present]
    return [name for name in missing if _link(name, target)]


def _closure(lines: list[str]) -> list[str]:
    names, todo = [], [_name(line) for line in lines if line.strip() and not line.startswith("#")]
    while todo:
        name = todo.pop()
        if name in names:
            continue
        names.append(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        todo += [_name(need) for need in needs if "extra ==" not in need]
    return names


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower().replace("_", "-").replace(".", "-")


def _installed(python: Path) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    out = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    return {_name(name) for name in out.split()}


def _link(name: str, target: Path) -> bool:
    """Link the top-level folders and files of distribution ``name``; False where the tests lack it too."""
    names = [known for known in (name, SAME.get(name)) if known and _has(known)]
    if not names:
        return False
    distribution = importlib.metadata.distribution(names[0])
    tops = {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        source = Path(str(distribution.locate_file(top)))
        if source.exists() and not (target / top).exists():
            _link_or_copy(source, target / top)
    return True


def _has(name: str) -> bool:
    try:
        return bool(importlib.metadata.distribution(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _link_or_copy(source: Path, link: Path) -> None:
    try:
        link.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:  # Windows without the right to make links
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, link)
