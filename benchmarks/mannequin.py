"""How fast figures are drawn and read: figures per CPU second of one thread, against what was planned."""

import time
from collections.abc import Callable

from .measure import Record, record

PLANNED = 250.0  # figures per second and core at 128 x 64
COUNT = 200


def run() -> list[Record]:
    """Drawing at 128 x 64 in three worlds, and reading."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    from pipelines.mannequin.configs import demo, portraits
    from pipelines.mannequin.scene import render

    worlds = {"demo": demo(), "demo, lively": demo(lively=True), "StyleGAN": portraits()}
    records = [
        _rate(f"figures drawn at 128 x 64, world {name}", lambda index, c=config: render(c, 1, index))
        for name, config in worlds.items()
    ]
    return [*records, _reading()]


def _rate(name: str, work: Callable[[int], object]) -> Record:
    """Best of three rounds: other jobs on the machine only make a round slower."""
    for index in range(20):
        work(index)
    rates = []
    for _ in range(3):
        start = time.process_time()
        for index in range(COUNT):
            work(index)
        rates.append(COUNT / (time.process_time() - start))
    rate = max(rates)
    found = record(name, rate, PLANNED, "planned", "figures per CPU s")
    return Record(**{**vars(found), "ratio": round(rate / PLANNED, 3)})  # more is better here


def _reading() -> Record:
    from pipelines.mannequin.reader.reading import load_reader
    from pipelines.mannequin.reader.scores import held_out

    reader = load_reader()
    pixels, _ = held_out(64)
    reader.read(pixels[:8])
    start = time.process_time()
    reader.read(pixels)
    whole = time.process_time() - start
    start = time.process_time()
    reader.features(pixels)
    features = time.process_time() - start
    return record(
        "64 figures read (colours, kinds, pose, parts)", whole, features, "their features alone", "CPU s"
    )
