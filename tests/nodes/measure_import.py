"""Print, as one line of JSON, what importing the pack costs beyond ComfyUI. Run in a fresh process:

``python tests/nodes/measure_import.py <pack folder> <ComfyUI folder> [calls]``

With ``calls``, the function calls are counted in place of the seconds: they are alike on every machine.
"""

import asyncio
import gc
import importlib
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import FrameType

FORBIDDEN = (
    "socket.connect",
    "socket.bind",
    "subprocess.Popen",
    "os.system",
    "os.remove",
    "os.rename",
    "os.mkdir",
)


def load_comfyui(folder: Path) -> None:
    """Bring in what ComfyUI has in memory when it comes to custom nodes."""
    sys.path.insert(0, str(folder))
    from comfy.cli_args import args

    args.cpu = True
    for name in ("comfy.sd", "comfy.utils", "folder_paths", "nodes", "comfy_api.latest"):
        importlib.import_module(name)


def import_pack(folder: Path) -> int:
    """Import the pack as ComfyUI does and ask for its nodes; returns how many there are."""
    spec = importlib.util.spec_from_file_location(
        "figura_measured", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["figura_measured"] = module
    spec.loader.exec_module(module)

    async def ask():
        return await (await module.comfy_entrypoint()).get_node_list()

    return len([node.GET_SCHEMA() for node in asyncio.run(ask())])


def resident_megabytes() -> float:
    """Memory of this process now (on Linux), else its peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Calls:
    """Counts calls of functions, Python's and C's, between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self.count = 0

    def _seen(self, frame: FrameType, event: str, argument: object) -> None:
        self.count += event in ("call", "c_call")

    def start(self) -> None:
        sys.setprofile(self._seen)

    def stop(self) -> dict[str, int]:
        sys.setprofile(None)
        return {"calls": self.count}


class Seconds:
    """CPU seconds of this process between ``start`` and ``stop``."""

    def start(self) -> None:
        self.begin = time.process_time()

    def stop(self) -> dict[str, float]:
        return {"cpu_seconds": round(time.process_time() - self.begin, 4)}


def main() -> None:
    """Measure and print."""
    pack, comfyui = Path(sys.argv[1]), Path(sys.argv[2])
    effort = Calls() if sys.argv[3:] == ["calls"] else Seconds()
    load_comfyui(comfyui)
    asyncio.run(asyncio.sleep(0))  # the loop's own modules
    seen: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if watching and (event in FORBIDDEN or writes):
            path = str(arguments[0])  # bytecode is Python's own business; it opens a number a second time
            if not path.isdigit() and "__pycache__" not in path and str(sys.pycache_prefix) not in path:
                seen.append(f"{event} {path}")

    sys.addaudithook(watch)
    gc.collect()
    before, modules = resident_megabytes(), set(sys.modules)
    effort.start()
    count = import_pack(pack)
    cost = effort.stop()
    watching = False
    print(json.dumps(cost | {
        "megabytes": round(resident_megabytes() - before, 2),
        "modules": sorted({name.split(".")[0] for name in set(sys.modules) - modules}),
        "forbidden": seen,
        "nodes": count,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
