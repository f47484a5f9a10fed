"""Films: what is in their frames, how many, with the flags of the released scripts; and the mixing video."""

import inspect
import sys

import numpy as np
import pytest
import torch
from comfyui_figura.pipelines import __main__ as figura
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.images import to_uint8
from comfyui_figura.pipelines.demo.network_pickle import write_network
from comfyui_figura.pipelines.demo.stylegan_human import random_generator
from comfyui_figura.pipelines.stylegan_human import generate
from comfyui_figura.pipelines.stylegan_human.configs import tiny
from comfyui_figura.pipelines.stylegan_human.generate import frames, sample_ws, synthesize
from comfyui_figura.pipelines.stylegan_human.latents.latent_file import Latents, save_latents
from comfyui_figura.pipelines.stylegan_human.latents.latents import mix_styles
from comfyui_figura.pipelines.stylegan_human.latents.mixing import default_overlap, mixing_frames
from comfyui_figura.pipelines.stylegan_human.loading import load_generator
from comfyui_figura.pipelines.stylegan_human.video import mp4_bytes, write_film

av = pytest.importorskip("av")
LOSSY = 25  # mean error of 255: tells that picture from another seed's, after GIF's palette or H.264


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "network.pkl"
    write_network(path, random_generator(tiny(2)))
    return path


def run(monkeypatch, network, verb, *words):
    monkeypatch.setattr(sys, "argv", ["figura", "stylegan", verb, "--network", *map(str, (network, *words))])
    figura.main()


def decoded(film) -> list[np.ndarray]:
    with av.open(film if hasattr(film, "read") else str(film)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def near(a, b) -> bool:
    return a.shape == b.shape and np.abs(a.astype(int) - b).mean() < LOSSY


def picture(network, seed, psi=0.8):
    generator = load_generator(network)
    return to_uint8(synthesize(generator, sample_ws(generator, [seed], psi)))[0]


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_interpolate_shows_both_ends_beside_the_way(network, tmp_path, monkeypatch, kind):
    words = ["--seeds", "3,4", "--num_interps", "5", "--format", kind, "--save_mid_image", "True"]
    run(monkeypatch, network, "interpolate", *words, "--outdir", tmp_path)
    film = decoded(tmp_path / f"3-4.{kind}")
    first, second = picture(network, 3), picture(network, 4)
    assert len(film) == 5
    assert near(film[0], np.concatenate([second, second, first], axis=1)), "begins at the second seed"
    assert sorted(path.name for path in tmp_path.glob("seed*")) == ["seed0003.png", "seed0004.png"]
    assert len(list((tmp_path / "img").iterdir())) == 5


def test_interpolate_alone_through_many(network, tmp_path, monkeypatch):
    words = ["--seeds", "1-3", "--num-interps", "4", "--space", "w+", "--sources", "False"]
    run(monkeypatch, network, "interpolate", *words, "--outdir", tmp_path)
    film = decoded(tmp_path / "1-2-3.gif")
    assert len(film) == 8 and near(film[0], picture(network, 3)) and near(film[4], picture(network, 2))


@pytest.mark.parametrize(("flag", "height", "columns"), [([], 128, 3), (["--only-stylemix"], 64, 2)])
def test_mix_video(network, tmp_path, monkeypatch, flag, height, columns):
    words = ["--row-seed", "85", "--col-seeds", "1,2", "--col-styles", "0-3", "--duration-sec", "0.6"]
    run(monkeypatch, network, "mix-video", *words, "--fps", "5", *flag, "--outdir", tmp_path)
    film = decoded(tmp_path / "85-1-2.mp4")
    step = 32 - 2  # 30 pixels of 512 are 2 of 32
    assert len(film) == 3 and film[0].shape == (height, columns * step, 3)


def test_only_stylemix_reads_the_released_way(network, tmp_path, monkeypatch):
    words = ["--row-seed", "85", "--col-seeds", "1", "--duration-sec", "0.2", "--fps", "5"]
    run(monkeypatch, network, "mix-video", *words, "--only-stylemix", "True", "--outdir", tmp_path / "a")
    run(monkeypatch, network, "mix-video", *words, "--only-stylemix", "False", "--outdir", tmp_path / "b")
    sizes = [decoded(tmp_path / folder / "85-1.mp4")[0].shape for folder in "ab"]
    assert sizes == [(64, 30, 3), (128, 60, 3)]


def test_walk(network, tmp_path, monkeypatch):
    words = ["--duration-sec", "0.6", "--fps", "10", "--format", "gif", "--outdir", tmp_path]
    run(monkeypatch, network, "walk", "--seed", "5", *words)
    save_latents(tmp_path / "people.npz", Latents(sample_ws(load_generator(network), [1, 2], 0.8)))
    run(monkeypatch, network, "walk", "--latent", tmp_path / "people.npz", *words)
    assert len(decoded(tmp_path / "seed0005.gif")) == 6
    film = decoded(tmp_path / "people.gif")
    assert len(film) == 6 and near(film[3], picture(network, 2))


def test_frames_of_the_mixing_video():
    """Exactly the pictures that single calls give, each at its place."""
    generator = random_generator(tiny(2))
    walk, people = sample_ws(generator, [1, 2]), sample_ws(generator, [3, 4])
    drawn = list(mixing_frames(generator, walk, people, [0, 1, 2], overlap=0))
    assert len(drawn) == 2 and drawn[0].shape == (128, 96, 3)
    assert (drawn[0][:64, :32] == 255).all()
    above, below = to_uint8(synthesize(generator, people)), to_uint8(synthesize(generator, walk))
    assert np.array_equal(drawn[1][:64, 64:], above[1]) and np.array_equal(drawn[1][64:, :32], below[1])
    mixed = to_uint8(synthesize(generator, mix_styles(people[:1], walk[1:], [0, 1, 2])))[0]
    assert np.array_equal(drawn[1][64:, 32:64], mixed)
    (only, _) = mixing_frames(generator, walk, people, [0, 1, 2], only_mixed=True, overlap=0)
    assert np.array_equal(only, drawn[0][64:, 32:])


def test_neighbours_overlap_and_sizes_are_even():
    generator = random_generator(tiny(2))
    assert default_overlap(generator) == 2
    ws = sample_ws(generator, [1])
    (frame,) = mixing_frames(generator, ws, ws, [0], overlap=5)
    assert frame.shape == (128, 2 * 27, 3)
    (frame,) = mixing_frames(generator, ws, ws, [0], only_mixed=True, overlap=5)
    assert frame.shape == (64, 28, 3)


def test_a_film_is_drawn_a_few_frames_at_a_time(monkeypatch):
    """The released script draws all frames in one batch and runs out of memory."""
    generator = random_generator(tiny(2))
    sizes, synthesise = [], generate.synthesize

    def watched(network, ws, *args, **kwargs):
        sizes.append(len(ws))
        return synthesise(network, ws, *args, **kwargs)

    monkeypatch.setattr(generate, "synthesize", watched)
    film = frames(generator, sample_ws(generator, range(6)))
    assert inspect.isgenerator(film) and sizes == []
    next(film)
    assert sizes == [1]
    assert len(list(film)) == 5 and max(sizes) <= 4


def test_random_noise_does_not_flicker():
    generator = random_generator(tiny(2))
    same = sample_ws(generator, [1]).repeat(2, 1, 1)
    a, b = frames(generator, same, "random", 7)
    assert np.array_equal(a, b)


def test_film_in_memory():
    pictures = [np.full((64, 32, 3), shade, dtype=np.uint8) for shade in (0, 128, 255)]
    film = decoded(mp4_bytes(iter(pictures), 12))
    assert [abs(frame.mean() - shade) < 4 for frame, shade in zip(film, (0, 128, 255), strict=True)] == [
        True
    ] * 3


def test_a_broken_film_leaves_nothing(tmp_path):
    def breaks():
        yield np.zeros((64, 32, 3), dtype=np.uint8)
        raise KeyboardInterrupt

    for kind in ("gif", "mp4"):
        with pytest.raises(KeyboardInterrupt):
            write_film(tmp_path / f"film.{kind}", breaks(), 10)
    assert not list(tmp_path.iterdir())


BLACK = np.zeros((64, 32, 3), dtype=np.uint8)
BAD_FILMS = [
    ("film.mp4", [], 10), ("film.avi", [BLACK], 10), ("film.gif", [BLACK], 0),
    ("film.gif", [BLACK], float("nan")), ("film.gif", [BLACK, BLACK[:32]], 10),
    ("film.mp4", [BLACK, BLACK[:32]], 10),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pictures", "fps"), BAD_FILMS)
def test_films_refused(tmp_path, name, pictures, fps):
    with pytest.raises(FiguraInputError):
        write_film(tmp_path / name, pictures, fps)
    assert not list(tmp_path.iterdir())


BAD_MIXES = {
    "rows that are not there": {"styles": [40]},
    "overlap of a whole picture": {"overlap": 32},
    "people of another network": {"people": torch.zeros(1, 12, 32)},
    "unknown noise": {"noise_mode": "loud"},
}


@pytest.mark.parametrize("case", BAD_MIXES)
def test_mixing_videos_refused_at_once(case):
    generator = random_generator(tiny(2))
    ws = sample_ws(generator, [1])
    with pytest.raises(FiguraInputError):  # before the first frame is asked for
        mixing_frames(generator, **({"walk": ws, "people": ws, "styles": [0]} | BAD_MIXES[case]))


BAD_WORDS = [
    ("interpolate", "--seeds", "1"), ("interpolate", "--seeds", "1,2", "--num-interps", "0"),
    ("interpolate", "--seeds", "1,2", "--fps", "0"), ("interpolate", "--seeds", "1,2", "--trunc", "nan"),
    ("mix-video", "--row-seed", "1", "--col-seeds", "2", "--col-styles", "99"),
    ("mix-video", "--row-seed", "1", "--col-seeds", "x"), ("mix-video", "--row-seed=-1", "--col-seeds", "2"),
    ("mix-video", "--row-seed", "1", "--col-seeds", "2", "--duration-sec", "0"),
    ("mix-video", "--row-seed", "1", "--col-seeds", "2", "--indent-range", "400"),
    ("walk", "--duration-sec", "nan"), ("walk", "--latent", "nowhere.pt"),
]  # fmt: skip


@pytest.mark.parametrize("words", BAD_WORDS, ids=" ".join)
def test_mistakes_end_with_a_sentence(words, network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, network, *words)
    assert end.value.code == 2
    assert "figura:" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
