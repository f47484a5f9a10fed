"""What users install: the archive holds what runs and nothing else, the wheel gives a working command."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMFY = Path(sys.executable).parent / ("comfy.exe" if os.name == "nt" else "comfy")
NEEDED = {
    "__init__.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "CHANGELOG.md",
    "node_list.json",
}  # fmt: skip
FOLDERS = ("nodes", "pipelines", "workflows", "web")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A fresh repository of the tracked files, so that nothing is left behind in this one."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout
    names = [part for part in listing.decode().split("\0") if part and (ROOT / part).is_file()]
    if not names:
        pytest.skip("no git checkout")
    folder = tmp_path_factory.mktemp("checkout") / "ComfyUI-Figura"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def comfy(checkout, tmp_path_factory):
    """Runs comfy-cli in the checkout, with settings of its own and tracking off."""
    if not COMFY.is_file():
        pytest.skip("no comfy-cli")
    home = str(tmp_path_factory.mktemp("home"))
    environment = {**os.environ, "HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": home}
    environment["PATH"] = f"{COMFY.parent}{os.pathsep}{environment['PATH']}"

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [str(COMFY), "--skip-prompt", *arguments]
        return subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120
        )

    assert run("tracking", "disable").returncode == 0
    return run


def test_validates_for_the_registry(comfy):
    result = comfy("node", "validate")
    assert result.returncode == 0, result.stdout + result.stderr
    warnings = [line for line in (result.stdout + result.stderr).splitlines() if ".py:" in line]
    assert not warnings, warnings  # the cli only warns of eval, exec and joined statements; here they fail


def test_archive_holds_what_a_user_needs(comfy, checkout):
    result = comfy("node", "pack")
    assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(checkout / "node.zip") as archive:
        names = set(archive.namelist())
    (checkout / "node.zip").unlink()
    assert NEEDED <= names, NEEDED - names
    assert {name.split("/")[0] for name in names} <= NEEDED | set(FOLDERS)
    for folder in FOLDERS:
        tracked = {
            path.relative_to(checkout).as_posix() for path in (checkout / folder).rglob("*") if path.is_file()
        }
        assert tracked <= names, sorted(tracked - names)[:5]
        assert tracked or folder == "web"


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory) -> Path:
    """The wheel, built without network by the setuptools that is here, and unpacked."""
    pytest.importorskip("setuptools")
    out = tmp_path_factory.mktemp("wheel")
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=checkout, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_wheel_holds_all_of_pipelines_and_nothing_else(wheel, checkout):
    packed = {path.relative_to(wheel / "comfyui_figura").as_posix()
              for path in (wheel / "comfyui_figura").rglob("*") if path.is_file()}  # fmt: skip
    tracked = {
        path.relative_to(checkout).as_posix()
        for path in (checkout / "pipelines").rglob("*")
        if path.is_file()
    }
    tracked = {name for name in tracked if "__pycache__" not in name}
    assert packed == tracked | {"__init__.py"}
    points = next(wheel.glob("*.dist-info")) / "entry_points.txt"
    assert "figura = comfyui_figura.pipelines.__main__:main" in points.read_text(encoding="utf-8")


def test_command_of_the_wheel_works_from_any_folder(wheel, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    for arguments, words in ((["--help"], "stylegan"), (["convert", "--help"], "safetensors")):
        result = subprocess.run(
            [sys.executable, "-m", "comfyui_figura.pipelines", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert result.returncode == 0 and words in result.stdout, result.stderr[-2000:]
