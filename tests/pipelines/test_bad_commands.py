"""Every command with input that cannot be used: one typed sentence, exit code 2, and nothing written.

The commands run in this process, on the demo's shipped and tiny models, each in a folder of its own.
"""

import errno
import sys
from pathlib import Path

import pytest
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.demo import humansd as tiny_humansd
from comfyui_figura.pipelines.demo import parts2whole as tiny_parts2whole
from comfyui_figura.pipelines.demo import pose as tiny_pose
from comfyui_figura.pipelines.mannequin.commands import WriteConfig, write
from comfyui_figura.pipelines.pose.files import save_poses
from comfyui_figura.pipelines.pose.library import ready_pose
from PIL import Image

DEMO = Path(figura.__file__).parent / "demo" / "models"
NETWORK, BASE, VAE = (DEMO / name for name in (
    "stylegan_human/mannequins_64x32.safetensors", "base/mannequins-sd15", "base/vae"
))  # fmt: skip
COMMANDS = figura.all_commands()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of good and bad files. Commands below name them as {given}/…"""
    root = tmp_path_factory.mktemp("given") / "a folder with spaces"
    write(WriteConfig("cosmicman", root / "people", 4, size=(64, 32)))
    tiny_parts2whole.write_folder(root / "Parts2Whole")
    tiny_humansd.write_models(root)
    tiny_pose.write_models(root)
    save_poses(root / "poses" / "a", [ready_pose("standing")], "npz")
    for name in ("empty", "texts", "dots", "pictures", "folder.png", "folder.safetensors"):
        (root / name).mkdir()
    Image.new("RGB", (32, 64), "red").save(root / "pictures" / "a.png")
    for place in ("text.png", "texts/a.png", "text.json"):
        (root / place).write_text("no picture")
    for place in ("dot.png", "dots/a.png"):
        Image.new("RGB", (1, 1)).save(root / place)
    (root / "file").write_text("")
    return root


GOOD = {
    "stylegan generate": f"--network {NETWORK} --seeds 1 --outdir out",
    "stylegan interpolate": f"--network {NETWORK} --seeds 1,2 --num-interps 2 --outdir out",
    "stylegan mix": f"--network {NETWORK} --rows 1 --cols 2 --outdir out",
    "stylegan mix-video": f"--network {NETWORK} --row-seed 1 --col-seeds 2 --duration-sec 0.2 --outdir out",
    "stylegan walk": f"--network {NETWORK} --duration-sec 0.2 --outdir out",
    "stylegan edit": f"--network {NETWORK} --seeds 1 --strengths 0,1 --film gif --film-steps 2 --outdir out",
    "stylegan latent": f"out.pt --network {NETWORK} --seeds 1",
    "stylegan find": f"out.pt --network {NETWORK} --attribute {__name__}:nothing",
    "stylegan invert": f"--network {NETWORK} --images {{given}}/pictures --out out",
    "stylegan align": "--images {given}/pictures --outdir out",
    "stylegan paste": "--photos {given}/pictures --aligned {given}/pictures --edited {given}/pictures",
    "stylegan bg-white": "--raw-img-dir {given}/pictures --raw-seg-dir {given}/pictures --outdir out",
    "stylegan inset": f"--face-network {NETWORK} --body-network {NETWORK} --outdir out",
    "stylegan info": "",
    "stylegan convert": f"{NETWORK} out.safetensors",
    "humansd generate": f"--prompt x --humansd-checkpoint {{given}}/checkpoints/{tiny_humansd.CHECKPOINT} "
    "--ddim-steps 1 --image-H 64 --image-W 64 --save-path out",
    "humansd train": f"--trainer.out run --trainer.cpu --base-path {{given}}/checkpoints/"
    f"{tiny_humansd.CHECKPOINT} --data .mannequin.stream:poses,count=4 --size 64 64",
    "humansd measure": "--pictures {given}/pictures --poses {given}/poses "
    f"--pose-from.estimator {{given}}/pose_estimators/{tiny_pose.HIGHERHRNET}",
    "humansd skeleton": "--save-path out",
    "humansd widen": "--out out.safetensors",
    "humansd convert": "--out out.safetensors",
    "cosmicman generate": f"--prompts x --variant sd --unet-path {BASE} --base-path {BASE} --H 64 --W 64 "
    "--steps 1 --outdir out",
    "cosmicman train": f"--trainer.out run --trainer.cpu --base-path {BASE} --data {{given}}/people "
    "--size 64 32",
    "parts2whole generate": "--model {given}/Parts2Whole --face.image {given}/pictures/a.png --width 64 "
    "--height 72 --steps 1 --out out",
    "base generate": f"--prompts x --base-path {BASE} --size 64 32 --steps 1 --outdir out",
    "base score": f"--base-path {BASE} --data {{given}}/people --count 2 --size 64 32 --steps 1",
    "base measure": f"--vae {VAE} --data {{given}}/people --count 2",
    "base new": f"--out out --vae {VAE} --data {{given}}/people",
    "base pack": f"--model {BASE} --out out.safetensors",
    "base vae": "--trainer.out run --trainer.cpu --data {given}/people --size 64 32",
    "base text": f"--trainer.out run --trainer.cpu --base-path {BASE} --data {{given}}/people --size 64 32",
    "mannequin write": "--format cosmicman --out out --count 2 --size 64 32",
    "mannequin sheet": "--out out.png --count 2 --size 64 32",
    "mannequin read": "--images {given}/pictures",
    "mannequin train-reader": "--trainer.out run --trainer.cpu --pictures 4 --held-out 2",
    "convert": f"{NETWORK} out.safetensors",
    "identify": "",
    "report": "",
}

# Per class of mistake: the command and the words that are put behind it, each behind the good ones above.
# A flag that comes twice counts as it comes last.
FOLDERS_THAT_ARE_FILES = [
    *(f"stylegan {verb} --outdir" for verb in
      ("generate", "interpolate", "mix", "mix-video", "walk", "edit", "align", "paste", "bg-white", "inset")),
    "stylegan invert --out", "humansd generate --ready-pose standing --save-path",
    "humansd skeleton --source {given}/text.json --save-path", "cosmicman generate --outdir",
    "parts2whole generate --out", "base generate --outdir", "base new --out", "mannequin write --out",
    *(f"{verb} --trainer.out" for verb in
      ("cosmicman train", "humansd train", "base vae", "base text", "mannequin train-reader")),
]  # fmt: skip
FILES_THAT_ARE_FOLDERS = [
    "mannequin sheet --out {given}/folder.png", "mannequin read --out {given}/empty",
    "base score --out {given}/empty", "base measure --out {given}/empty",
    "humansd measure --out {given}/empty",
    "base pack --out {given}/folder.safetensors", "stylegan latent --picture {given}/folder.png",
    f"humansd widen --source {NETWORK} --out {{given}}/folder.safetensors",
    f"humansd convert --source {NETWORK} --out {{given}}/folder.safetensors",
]  # fmt: skip
FILES_TO_READ = [
    *(f"stylegan {verb} --network" for verb in
      ("generate", "interpolate", "mix", "mix-video", "walk", "edit", "latent", "find", "invert")),
    "stylegan inset --face-network", "stylegan inset --body-network", "stylegan inset --face-latent",
    "stylegan inset --perceptual", "stylegan info", "stylegan edit --direction",
    "stylegan latent --blend", "stylegan find --without", "stylegan invert --encoder",
    "humansd generate --ready-pose standing --humansd-checkpoint", "humansd widen --source",
    "humansd convert --source", "cosmicman generate --unet-path", "cosmicman generate --base-path",
    "cosmicman train --base-path", "humansd train --base-path", "humansd measure --poses",
    "humansd measure --pose-from.estimator", "base text --base-path", "base generate --base-path",
    "base score --base-path", "base measure --vae", "base new --vae", "base pack --model",
    "parts2whole generate --model", "parts2whole generate --file", "mannequin read --reader",
    "mannequin read --captions", "identify", "report",
]  # fmt: skip
PICTURES = [
    *(f"parts2whole generate --{name}" for name in ("face.image", "face.mask", "pose")),
    "humansd generate --skeleton", "humansd generate --pose-file", "humansd generate --image",
    "humansd generate --ready-pose standing --ddim-steps 4 --strength 0.5 --init-image",
]  # fmt: skip
FOLDERS = [
    "stylegan invert --images", "stylegan align --images", "stylegan align --masks",
    "stylegan align --poses", "stylegan paste --photos", "stylegan paste --aligned",
    "stylegan paste --edited", "stylegan bg-white --raw-img-dir", "stylegan bg-white --raw-seg-dir",
    "mannequin read --images", "base score --data", "base measure --data", "base new --data",
    "base vae --data", "base text --data", "cosmicman train --data", "humansd skeleton --source",
    "humansd train --data", "humansd measure --pictures",
]  # fmt: skip
NUMBERS = {
    "stylegan generate": "--trunc nan, --trunc inf, --seeds -1, --seeds x, --seeds 5-1, --device abacus",
    "stylegan interpolate": "--seeds 1, --fps nan, --fps 0, --num-interps 0, --trunc nan",
    "stylegan mix": "--rows -1, --styles 99, --trunc nan",
    "stylegan mix-video": "--duration-sec nan, --duration-sec 0, --fps -1, --col-styles 99, --row-seed -1",
    "stylegan walk": "--duration-sec inf, --fps nan, --smooth nan, --smooth -1, --seed -1",
    "stylegan edit": "--strengths nan, --sefa -1, --rows 99, --film-steps 0, --film-steps 99999999",
    "stylegan latent": "--trunc nan, --truncate inf, --rows 99, --grid 0x0, --seeds -1",
    "stylegan find": "--trunc nan, --seeds -1, --rows 99",
    "stylegan align": "--height 0, --height 99999999, --threshold nan, --threshold -1, --least-joints -1",
    "stylegan paste": "--feather nan",
    "stylegan inset": "--film-every 0, --joint-steps -1, --trunc nan",
    "humansd generate": "--scale nan, --scale -1, --eta nan, --pose-strength inf, --strength nan, --seed -1, "
    "--image-H 65, --image-W 0, --num-samples 0, --ddim-steps 0, --detection-thresh nan",
    "humansd train": "--lr nan, --guidance inf, --drop-text 2, --chances.turn -1, --skeleton-scale 0, "
    "--size 65 64, --heatmap-weight nan, --ema 1, --loss heatmap_paper, --trainer.batch 0, "
    "--data .mannequin.stream:poses,count=0",
    "humansd measure": "--detection-thresh nan, --kid-subset 1, --real {given}/pictures, "
    "--detector json:dumps",
    "humansd skeleton": "--source {given}/text.json --detection-thresh nan",
    "cosmicman generate": "--H 65, --W -8, --steps 0, --images -1, --scale nan, --seed -1, --sampler x",
    "cosmicman train": "--guidance nan, --lr inf, --weight-decay nan, --warmup -1, --trainer.batch 0, "
    "--size 65 32, --hola.weight nan",
    "parts2whole generate": "--width 65, --height 0, --width 64 --height 64, --steps 0, --count -1, "
    "--guidance nan, --reference-strength -1, --image-strength inf, --pose-strength nan, --seed -1",
    "base generate": "--size 65 32, --size 0 0, --scale inf, --steps 0, --images -1, --seed -1, "
    "--enlarge 0, --enlarge 100000",
    "base score": "--size 65 33, --size -8 8, --scale inf, --count 0, --score x",
    "base measure": "--size 65 33, --size 0 0, --count 0, --gate nan",
    "base new": "--widths 65, --layers 0, --text-width 65",
    "base vae": "--size 65 32, --lr nan, --trainer.steps -1, --trainer.seed -1",
    "base text": "--size -8 8, --lr inf, --trainer.clip-norm nan, --drop-text nan",
    "mannequin write": "--count 0, --size 15 16, --seed -1, --scenery nan",
    "mannequin sheet": "--count 0, --columns -1, --size 0 0",
    "mannequin read": "--bad-limit nan",
    "mannequin train-reader": "--trainer.steps 0, --trainer.batch -1",
}


def cases():
    for line in FOLDERS_THAT_ARE_FILES:
        yield f"{line} {{given}}/file"
        yield f"{line} {{given}}/file/deeper"
    yield from FILES_THAT_ARE_FOLDERS
    yield from (f"{line} {{given}}/file/x" for line in ("mannequin sheet --out", "mannequin read --out"))
    for line in FILES_TO_READ:
        yield from (f"{line} {{given}}/{place}" for place in ("missing", "empty", "text.png", "file"))
    for line in PICTURES:
        yield from (f"{line} {{given}}/{place}" for place in ("missing", "empty", "text.png", "dot.png"))
    for line in FOLDERS:
        yield from (f"{line} {{given}}/{place}" for place in ("missing", "empty", "texts", "dots", "dot.png"))
    for command, lines in NUMBERS.items():
        yield from (f"{command} {line}" for line in lines.split(", "))


def command_of(line: str) -> str:
    return max((name for name in GOOD if f"{line} ".startswith(f"{name} ")), key=len)


def words_of(line: str, given: Path) -> list[str]:
    """A command's good words, with the changed ones behind them."""
    command = command_of(line)
    words = f"{command} {GOOD[command]} {line.removeprefix(command)}".split()
    return [word.replace("{given}", str(given)) for word in words]


def run(words, monkeypatch, capsys) -> str:
    """Run the command line to its end with exit code 2; returns what it said of it."""
    monkeypatch.setattr(sys, "argv", ["figura", *words])
    with pytest.raises(SystemExit) as end:
        figura.main()
    said = capsys.readouterr()
    assert end.value.code == 2, said
    return said.err or said.out


@pytest.mark.parametrize("line", list(cases()))
def test_one_sentence_and_nothing_written(line, given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in given.rglob("*")}
    said = run(words_of(line, given), monkeypatch, capsys)
    if command_of(line) == "identify":  # speaks of every file, and goes on
        assert "cannot be used. " in said
    else:
        assert said.count("figura: ") == 1 and "\n" not in said.partition("figura: ")[2].rstrip("\n"), said
    assert "; wanted " in said and "Traceback" not in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert {path: path.stat().st_mtime_ns for path in given.rglob("*")} == before


def test_every_command_has_cases():
    """But the demo, which takes a folder alone, and those that need a study's or a reader's own settings."""
    names = set()
    for first, rest in COMMANDS.items():
        names |= {f"{first} {verb}" for verb in rest} if isinstance(rest, dict) else {first}
    assert names - {command_of(line) for line in cases()} <= {
        "demo", "convert", "cosmicman study", "stylegan convert", "stylegan train", "stylegan measure",
    }  # fmt: skip


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_or_forbidden_disk_is_no_traceback(number, tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(number, "the disk says no", "place.png")

    monkeypatch.setattr(figura, "dispatch", refuse)
    assert "place.png: the disk says no" in run([], monkeypatch, capsys)


def test_other_errors_of_the_system_keep_their_traceback(monkeypatch):
    def fail(*_):
        raise FileNotFoundError(errno.ENOENT, "a mistake of ours")

    monkeypatch.setattr(figura, "dispatch", fail)
    with pytest.raises(FileNotFoundError):
        figura.main()
