"""Runs the demo of each system in turn, then draws the contact sheet and prints the table."""

from importlib import import_module

from tqdm import tqdm

from . import DemoResult
from .commands import DemoConfig
from .sheet import draw_sheet

SYSTEMS = ("base", "stylegan_human", "cosmicman", "humansd", "parts2whole")


def run(config: DemoConfig) -> None:
    """Write ``<out>/models``, one folder of pictures per system, and ``<out>/contact_sheet.png``."""
    results = run_systems(config)
    if config.comfyui:
        from .comfyui import run_workflows

        results += run_workflows(config.out / "workflows")
    sheet = draw_sheet(results, config.out / "contact_sheet.png")
    _print_table(results)
    print(f"\nAll pictures on one page: {sheet}")


def run_systems(config: DemoConfig) -> list[DemoResult]:
    """Run each system's demo on the models it just wrote; returns the results in order."""
    import torch

    torch.set_num_threads(1)  # tiny networks run fastest so, and on a busy machine many times faster
    results: list[DemoResult] = []
    bar = tqdm(SYSTEMS, unit="system")
    for name in bar:
        bar.set_description(name)
        system = import_module(f".{name}", __package__)
        if hasattr(system, "write_models"):  # the bases are shipped, whole
            system.write_models(config.out / "models")
        results += system.run(config.out / "models", config.out / name, _step_bar(name))
    return results


def _step_bar(name: str):
    """A progress listener that shows the steps of the running system on a line of its own."""
    bar = tqdm(desc=f"  {name}", leave=False, position=1, unit="step")

    def update(done: int, total: int, preview=None) -> None:
        if done <= bar.n:
            bar.reset(total)
        bar.total = total
        bar.update(done - bar.n)

    return update


def _print_table(results: list[DemoResult]) -> None:
    width = max(len(result.name) for result in results)
    print(f"\n{'what ran':{width}}  seconds  picture")
    for result in results:
        print(f"{result.name:{width}}  {result.seconds:7.1f}  {result.picture}")
