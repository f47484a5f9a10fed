"""Pictures shared out over processes are those of one process, to the byte."""

import sys

import pytest
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.processes import find_device, is_mine, rank_and_count, share


def as_process(monkeypatch, rank: int, count: int) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(count))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_piece_falls_to_one_process(monkeypatch, count):
    pieces, taken = list("abcde"), []
    for rank in range(count):
        as_process(monkeypatch, rank, count)
        taken += share(pieces)
        assert all(is_mine(index) for index, _ in share(pieces))
    assert sorted(taken) == list(enumerate(pieces))


def test_without_a_launcher_everything_is_ours(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert rank_and_count() == (0, 1) and share("ab") == [(0, "a"), (1, "b")]


def test_devices():
    assert find_device("cpu").type == "cpu"
    with pytest.raises(FiguraInputError, match="device.*warp"):
        find_device("warp")


def test_two_processes_generate_the_pictures_of_one(tmp_path, monkeypatch):
    from comfyui_figura.pipelines import __main__ as figura
    from comfyui_figura.pipelines.demo import stylegan_human

    stylegan_human.write_models(tmp_path)
    network = next((tmp_path / "stylegan_human").glob("*512*.pkl"))

    def generate(out: str) -> None:
        words = ["figura", "stylegan", "generate", "--network", str(network), "--seeds", "3-6"]
        monkeypatch.setattr(sys, "argv", [*words, "--outdir", str(tmp_path / out)])
        figura.main()

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    generate("one")
    as_process(monkeypatch, 0, 2)
    generate("two")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["seed0003.png", "seed0005.png"]
    as_process(monkeypatch, 1, 2)
    generate("two")
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two and len(one) == 4
