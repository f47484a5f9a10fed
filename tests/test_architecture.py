"""The rules of ARCHITECTURE.md that one could break without noticing, kept by walking the syntax trees."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
SYSTEMS = {"cosmicman", "humansd", "parts2whole", "stylegan_human"}
COMFYUI = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "node_helpers", "server",
           "execution", "nodes", "latent_preview", "comfyui_figura"}  # fmt: skip
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "accelerate", "cv2", "scipy", "mmpose",
         "mmcv", "mmengine", "onnxruntime", "peft", "numpy", "PIL", "safetensors", "pyarrow"}  # fmt: skip
LAZY_AT_START_UP = {"diffusers", "transformers", "accelerate", "cv2", "mmpose", "mmcv", "mmengine",
                    "onnxruntime", "peft", "pyarrow", "sklearn", "av"}  # fmt: skip
MAX_LINES = 400
# The two sites that start a program: the demo runs a real ComfyUI, training nodes run the command line.
STARTS_PROGRAMS = {"pipelines/demo/comfyui.py"}
WRITES_PICKLES = {"pipelines/demo/network_pickle.py"}  # makes tiny networks in the released format


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


PACK = [ROOT / "__init__.py", *sources("pipelines", "nodes")]
PIPELINES = sources("pipelines")
NODES = sources("nodes")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, top_level_only: bool = False) -> list[tuple[str, int]]:
    """Modules that a file imports: absolute ones as they are, our own as paths from the root."""
    found = []
    for node in walk_top(tree(path)) if top_level_only else ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module or "", node.lineno))
        elif isinstance(node, ast.ImportFrom):
            folder = path.parent
            for _ in range(node.level - 1):
                folder = folder.parent
            inside = folder.is_relative_to(ROOT)
            base = (
                "/".join([*folder.relative_to(ROOT).parts, *(node.module or "").split(".")])
                if inside
                else "above"
            )
            found += [(f"./{base}/{alias.name}".replace("//", "/"), node.lineno) for alias in node.names]
    return found


def walk_top(module: ast.Module):
    """Statements that run when the module is imported: none inside functions, or for type checkers only."""
    waiting = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting += list(ast.iter_child_nodes(node))


def own(path: Path) -> list[tuple[list[str], int]]:
    return [(found.split("/")[1:], line) for found, line in imports(path) if found.startswith("./")]


def report(broken: list[str]) -> None:
    assert not broken, "\n" + "\n".join(broken)


def test_the_walk_sees_imports(tmp_path):
    """The tests below would pass on an empty list; this shows that the walk finds what it should."""
    found = {module for module, _ in imports(ROOT / "nodes" / "__init__.py")}
    assert "./nodes/compat/ComfyExtension" in found and "./nodes/pose" in found
    assert ("torch", 1) not in imports(ROOT / "pipelines" / "common" / "images.py")
    assert any(module == "torch" for module, _ in imports(ROOT / "pipelines" / "common" / "images.py"))


def test_pipelines_never_name_comfyui_nor_climb_out():
    report([
        f"{name(path)}:{line} imports {module}"
        for path in PIPELINES for module, line in imports(path)
        if module.split(".")[0] in COMFYUI
        or (module.startswith("./") and not module.startswith("./pipelines/")) or module.startswith("./above")
    ])  # fmt: skip


def test_imports_of_our_own_code_are_relative():
    report([
        f"{name(path)}:{line} imports {module}"
        for path in PACK for module, line in imports(path)
        if module.split(".")[0] in {"comfyui_figura", "pipelines"}
    ])  # fmt: skip


@pytest.mark.parametrize("layer", ["pipelines", "nodes"])
def test_systems_never_import_each_other(layer):
    """``demo`` and ``convert`` run every system and are exempt; ``mannequin`` reaches them by data only."""
    broken = []
    for path in sources(layer):
        here = path.relative_to(ROOT).parts[1]
        for parts, line in own(path):
            there = parts[1] if len(parts) > 1 else ""
            above = here in SYSTEMS | {"mannequin", "base"} and there in (
                SYSTEMS | {"mannequin", "base", "demo", "convert"}
            ) - {here}
            ground = layer == "pipelines" and here in {"common", "pose"} and there not in {"common", "pose"}
            if parts[0] == layer and (above or ground or (here == "common" and there == "pose")):
                broken.append(f"{name(path)}:{line} imports {'/'.join(parts)}")
    report(broken)


def test_folders_of_stylegan_human_import_in_one_direction():
    """No two of them need each other, not even by way of the files above them."""
    below: dict[str, set[str]] = {}
    for path in sources("pipelines/stylegan_human"):
        here = path.relative_to(ROOT).with_suffix("").parts[2]
        needs = {parts[2] for parts, _ in own(path) if parts[1] == "stylegan_human"} - {here}
        below[here] = below.get(here, set()) | needs
    while free := [unit for unit, needs in below.items() if not needs & set(below)]:
        below = {unit: needs for unit, needs in below.items() if unit not in free}
    assert not below, f"on a circle, or above one: {sorted(below)}"


def test_a_node_folder_reaches_its_own_system_only():
    broken = []
    for path in NODES:
        here = path.relative_to(ROOT).parts[1]
        for parts, line in own(path):
            if (
                here in SYSTEMS
                and parts[0] == "pipelines"
                and parts[1] not in {here, "common", "pose", "demo"}
            ):
                broken.append(f"{name(path)}:{line} imports {'/'.join(parts)}")
    report(broken)


def test_only_the_bridges_import_comfyui():
    """Node classes speak to ComfyUI through compat, host, native and their system's bridge."""
    allowed = {"compat.py", "host.py", "native.py", "bridge.py", "patches.py", "sampling.py"}
    report([
        f"{name(path)}:{line} imports {module}"
        for path in NODES if path.name not in allowed and not path.name.endswith("_bridge.py")
        for module, line in imports(path)
        if module.split(".")[0] in COMFYUI - {"node_helpers", "folder_paths"}
    ])  # fmt: skip


def test_configs_and_commands_are_light():
    report([
        f"{name(path)}:{line} imports {module}"
        for path in PIPELINES
        if path.parent.name == "cli"
        or path.name in {"configs.py", "commands.py", "__main__.py", "__init__.py"}
        for module, line in imports(path, top_level_only=True) if module.split(".")[0] in HEAVY
    ])  # fmt: skip


def test_start_up_imports_no_heavy_package():
    """Everything that the list of nodes reaches, followed through our own modules."""
    waiting, seen, broken = [ROOT / "nodes" / "__init__.py"], set(), []
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module, line in imports(path, top_level_only=True):
            if module.startswith("./"):
                waiting += reached(module)
            elif module.split(".")[0] in LAZY_AT_START_UP:
                broken.append(f"{name(path)}:{line} imports {module}")
    assert len(seen) > 20
    report(broken)


def reached(module: str) -> list[Path]:
    """Files behind ``./nodes/pose/detect`` or ``./nodes/pose/detect/SomeName``, with their packages."""
    stem = ROOT / module[2:]
    candidates = [
        stem.with_suffix(".py"),
        stem / "__init__.py",
        stem.parent.with_suffix(".py"),
        stem.parent / "__init__.py",
    ]
    return [path for path in candidates if path.is_file()]


FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "pickle.load",
    "pickle.loads", "yaml.load", "torch.hub.load", "hub.load", "marshal.loads", "shelve.open", "np.load",
    "numpy.load", "dill.load", "joblib.load", "torch.jit.load",
}  # fmt: skip
FORBIDDEN_KEYWORDS = {
    ("shell", True),
    ("trust_remote_code", True),
    ("allow_pickle", True),
    ("weights_only", False),
}


def test_nothing_executes_what_it_was_given():
    broken = []
    for path in PACK:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            safe_load = called in {"np.load", "numpy.load"} and "allow_pickle=False" in ast.unparse(node)
            if called in FORBIDDEN_CALLS and not safe_load:
                broken.append(f"{name(path)}:{node.lineno} calls {called}")
            broken += [
                f"{name(path)}:{node.lineno} passes {word.arg}={word.value.value}"
                for word in node.keywords
                if isinstance(word.value, ast.Constant) and (word.arg, word.value.value) in FORBIDDEN_KEYWORDS
            ]
    report(broken)


def test_one_door_for_pickles_and_programs():
    broken = []
    for path in PACK:
        for module, line in imports(path):
            root = module.split(".")[0]
            if (
                root in {"pickle", "_pickle", "dill", "cloudpickle", "marshal"}
                and name(path) not in WRITES_PICKLES
            ):
                broken.append(f"{name(path)}:{line} imports {module}")
            if root in {"subprocess", "pty", "multiprocessing"} and name(path) not in STARTS_PROGRAMS:
                broken.append(f"{name(path)}:{line} imports {module}")
            if module in {"socket", "urllib.request", "requests", "http.client", "httpx", "aiohttp"}:
                broken.append(f"{name(path)}:{line} imports {module}")
    report(broken)


def public(body: list[ast.stmt]):
    for node in body:
        if isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ) and not node.name.startswith("_"):
            yield node


def test_docstrings():
    broken = []
    for path in PACK:
        module = tree(path)
        if not ast.get_docstring(module) and module.body:
            broken.append(f"{name(path)} has no docstring")
        broken += [
            f"{name(path)}:{n.lineno} {n.name} has no docstring"
            for n in public(module.body)
            if not ast.get_docstring(n)
        ]
    report(broken)


def test_no_file_grows_past_400_lines():
    report([
        f"{name(path)}: {lines} lines"
        for path in [*PACK, *sources("tests", "benchmarks")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    ])  # fmt: skip


def test_few_long_functions():
    """Under 5 % of all functions pass 40 lines; no ``execute`` passes 25."""
    lengths, broken = [], []
    for path in PACK:
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - (body[0].lineno if body else node.lineno) + 1
                lengths.append(length)
                if node.name == "execute" and length > 25:
                    broken.append(f"{name(path)}:{node.lineno} execute has {length} lines")
    assert sum(length > 40 for length in lengths) < 0.05 * len(lengths)
    report(broken)


def test_file_names_say_what_is_inside():
    empty_words = {"utils", "helpers", "misc", "manager", "util", "helper"}
    report([name(path) for path in PACK if empty_words & set(path.stem.split("_"))])


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    paths = [ROOT / part for part in listing.stdout.decode().split("\0") if part]
    return [path for path in paths if path.is_file()]


def test_no_machine_path_or_host_in_tracked_files():
    """Paths of the machine that something was made on, and addresses of package hosts."""
    words = re.compile(
        rb"(/"
        rb"work/(main|shared)|/"
        rb"root/|/home/[a-z]+/|[A-Z]:\\\\Users|/"
        rb"tmp/(team|ref|weights)|"
        rb"pypi\.org/simple|python"
        rb"hosted|index-url +http|localhost:3\d{3})"
    )
    broken = []
    for path in tracked():
        if path.suffix in {".png", ".jpg", ".gz", ".safetensors", ".pkl", ".npz", ".parquet"}:
            continue
        broken += [f"{name(path)}: {match.group().decode()}" for match in words.finditer(path.read_bytes())]
    report(broken)


def test_no_generated_clutter_is_tracked():
    clutter = re.compile(
        r"(__pycache__|\.pyc$|\.egg-info|(^|/)(build|dist|demo_output|runs|node\.zip)(/|$)|\.tmp$)"
    )
    report([name(path) for path in tracked() if clutter.search(name(path))])


def test_wheel_list_equals_the_tree():
    """A folder that is missing from ``packages`` is missing from the wheel without a word."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["setuptools"]["packages"]
    folders = sorted({path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in PIPELINES})
    assert listed == ["comfyui_figura", *(f"comfyui_figura.{folder}" for folder in folders)]


def test_every_data_file_travels_with_the_wheel():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"].get("package-data", {})
    data = [path for path in tracked() if name(path).startswith("pipelines/") and path.suffix != ".py"]
    for path in data:
        package = next(  # data may lie in a folder that is no package, below one that is
            folder for folder in path.parents if (folder / "__init__.py").is_file()
        )
        key = "comfyui_figura." + name(package).replace("/", ".")
        matching = [pattern for pattern in patterns.get(key, []) if path in set(package.glob(pattern))]
        assert matching, f"{name(path)} is in no package-data list"


def test_requirements_equal_the_dependencies():
    """ComfyUI Manager installs from requirements.txt only, pip from pyproject only."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert lines == settings["dependencies"] == sorted(lines)
    for line in lines:
        assert re.fullmatch(r"[a-z-]+>=[0-9.]+", line), f"{line}: a lower bound, and nothing else"
        assert line.split(">=")[0] not in {
            "torch",
            "torchvision",
            "mmpose",
            "mmcv",
            "mmdet",
            "chumpy",
            "xtcocotools",
        }
