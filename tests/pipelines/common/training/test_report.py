"""The report: one file that stands alone, drawn from the run's log and nothing else."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.training import curves, logs, report
from PIL import Image

ROOT = Path(__file__).parents[4]


@pytest.fixture
def run(tmp_path):
    """A run of 400 updates with losses, a rare measurement, a value that broke, grids and a skipped batch."""
    folder = tmp_path / "my <run>"
    (folder / "samples").mkdir(parents=True)
    about = {"trainer": {"steps": 500, "batch": 16}, "task": {"data": "<b>"}, "processes": 2, "device": "cpu"}
    (folder / "run.json").write_text(json.dumps(about))
    lines = []
    for step in range(10, 410, 10):
        line = {"step": step, "samples": step * 16, "loss": 2.0 / step, "part <a>": float(step)}
        if step % 100 == 0:
            line["fid"] = 300 - step / 2
        if step in (50, 60):
            line["loss"] = math.nan
        lines.append(line)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text + '{"step": 410, "lo')  # torn by a kill
    speed = [{"step": 200, "seconds": 30.0, "samples_per_second": 100.0, "peak_gpu_bytes": None}]
    speed.append({"step": 400, "seconds": 10.0, "samples_per_second": 200.0, "peak_gpu_bytes": 2**30})
    (folder / "speed.jsonl").write_text("".join(json.dumps(line) + "\n" for line in speed))
    (folder / "bad_batches.jsonl").write_text(json.dumps({"step": 55, "names": ["a&b", "c"]}) + "\n")
    for step in range(0, 410, 20):
        image = np.full((32, 16, 3), step % 256, np.uint8)
        Image.fromarray(image).save(folder / "samples" / f"z<0>_{step:08d}.png")
    (folder / "samples" / "broken_00000000.png").write_bytes(b"no picture")
    return folder


class Page(HTMLParser):
    """Collects tags, addresses and words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_and_shows_every_value(run):
    text = report.write_report(run).read_text()
    page = Page(text)
    assert page.addresses and all(address.startswith("data:image/") for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags) and "url(" not in text and "@import" not in text
    assert page.tags.count("svg") == 3
    words = " ".join(page.words)
    for word in ("my <run>", "loss", "part <a>", "fid", "400 of 500", "6,400", "a&b, c", "1.00 GiB"):
        assert word in words, word
    assert "125" in words  # samples per second over 40 s: (3000 + 2000) / 40


def test_names_cannot_break_the_page(run):
    text = report.page_of(logs.read_run(run))
    assert "<run>" not in text and "part <a>" not in text and "z<0>" not in text and '"<b>"' not in text


def test_values_are_those_of_the_log(run):
    read = logs.read_run(run)
    by_name = {curve.name: curve for curve in read.curves}
    assert by_name["fid"].steps == (100, 200, 300, 400) and by_name["fid"].values == (250, 200, 150, 100)
    assert len(by_name["loss"].values) == 38 and by_name["loss"].lost == 2
    assert read.steps == 400 and read.samples == 6400 and read.seconds == 40 and read.peak_bytes == 2**30


def test_rare_values_come_first_as_measurements(run):
    text = report.page_of(logs.read_run(run))
    assert (
        text.index("Measured during training")
        < text.index(">fid<")
        < text.index("Losses and rates")
        < text.index(">loss<")
    )


def test_grids_are_first_last_and_evenly_between(run):
    pages = logs.read_run(run).grids["z<0>"]
    assert [step for step, _ in pages] == list(range(0, 410, 20))
    shown = [step for step, _ in report.chosen(pages)]
    assert len(shown) == report.PAGES and shown[0] == 0 and shown[-1] == 400
    gaps = np.diff(shown)
    assert gaps.min() >= 20 and gaps.max() <= 40
    assert (
        Page(report.page_of(logs.read_run(run))).tags.count("img") == report.PAGES
    )  # the broken one is left out


def test_the_newest_grid_comes_first_and_largest(run):
    """16 x 32 fits 20 times into 1100 x 640; the earlier ones keep their size, in their order."""
    text = report.page_of(logs.read_run(run))
    sizes = [(int(w), int(h)) for w, h in re.findall(r'<img src="[^"]*" width="(\d+)" height="(\d+)"', text)]
    assert sizes == [(320, 640)] + [(16, 32)] * (report.PAGES - 1)
    steps = re.findall(r"<figcaption>after (\d+) updates", text)
    assert steps[0] == "400" and steps[1] == "0" and steps[1:] == sorted(steps[1:], key=int)


def test_a_single_value_stands_in_the_table_and_not_in_a_chart(run):
    with open(run / "log.jsonl", "a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"step": 410, "once": 0.75}) + "\n")
    text = report.page_of(logs.read_run(run))
    assert Page(text).tags.count("svg") == 3
    assert "<td>once</td><td>0.75</td><td></td>" in text


def test_a_large_grid_is_made_smaller(run):
    noise = np.random.default_rng(0).integers(0, 255, (600, 400, 3), np.uint8)
    path = run / "samples" / "noise_00000001.png"
    Image.fromarray(noise).save(path)
    source, size = report.inlined(path)
    assert source.startswith("data:image/jpeg") and size == (400, 600) and len(source) < path.stat().st_size


def test_a_chart_draws_points_where_the_values_are():
    """Of a straight line from 0 to 10 the drawn points are straight, and end at the last value's height."""
    steps, values = tuple(range(0, 101)), tuple(s / 10 for s in range(0, 101))
    svg = curves.chart(logs.Curve("a", steps, values))
    raw = re.search(r'class="raw" points="([^"]+)"', svg).group(1)
    points = np.array([list(map(float, point.split(","))) for point in raw.split()])
    assert len(points) == 101
    assert points[0][0] == curves.LEFT and points[-1][0] == curves.WIDTH - curves.RIGHT
    assert abs(points[0][1] - (curves.HEIGHT - curves.BOTTOM)) < 0.1 and abs(points[-1][1] - curves.TOP) < 0.1
    assert np.allclose(np.diff(points[:, 0]), np.diff(points[:, 0])[0], atol=0.11)


@pytest.mark.parametrize(
    "values", [(1.0,), (3.0, 3.0, 3.0), (0.0, 0.0), (-5.0, 5.0), (1e-9, 1.0, 1e9), (), tuple(range(5000))]
)
def test_any_curve_is_drawn_inside_the_chart(values):
    svg = curves.chart(logs.Curve("x", tuple(range(1, len(values) + 1)), tuple(map(float, values))))
    for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)(?=[ \"])", svg):
        assert 0 <= float(x) <= curves.WIDTH and 0 <= float(y) <= curves.HEIGHT
    assert "nan" not in svg.lower().replace("no finite value", "")


def test_a_wide_span_gets_a_logarithmic_axis():
    svg = curves.chart(logs.Curve("x", (1, 2, 3), (0.001, 1.0, 1000.0)))
    labels = re.findall(r'text-anchor="end">([^<]+)<', svg)
    assert "0.001" in labels and "1,000" in labels


@pytest.mark.parametrize(
    "spoil", ["no folder", "no run.json", "broken run.json", "list run.json", "empty log"]
)
def test_a_folder_without_a_run_is_refused(tmp_path, spoil):
    folder = tmp_path / "run"
    if spoil != "no folder":
        folder.mkdir()
    if "run.json" in spoil and spoil != "no run.json":
        (folder / "run.json").write_text("{" if spoil == "broken run.json" else "[]")
    if spoil == "empty log":
        (folder / "run.json").write_text("{}")
        (folder / "log.jsonl").write_text("\n")
    with pytest.raises(FiguraInputError):
        report.write_report(folder)
    assert not (folder / "report.html").exists()


def test_the_command_needs_neither_torch_nor_accelerate(run, tmp_path):
    code = (
        "import sys; from pathlib import Path; from pipelines.common.training import commands;"
        f"commands.report(commands.ReportConfig(Path({str(run)!r}), Path({str(tmp_path / 'p.html')!r})));"
        "print([m for m in ('torch', 'accelerate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip().endswith("[]") and (tmp_path / "p.html").is_file()
