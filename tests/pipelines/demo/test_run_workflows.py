"""Which of a workflow's files the demo shows."""

import pytest
from run_workflows import run


class Done:
    """A run that left some files."""

    end, seconds = "execution_success", 1.234

    def __init__(self, names):
        self.names = names

    def files(self):
        return [("1", {"filename": name}) for name in self.names]


class Pretended:
    """A client whose server made these files."""

    def __init__(self, *names):
        self.names = names

    def run(self, graph):
        return Done(self.names)

    def view(self, file):
        return file["filename"].encode()


@pytest.mark.parametrize("names", [("a.png", "b.png"), ("b.png", "film.mp4"), ("film.mp4", "b.png")])
def test_the_last_picture_is_kept_and_never_a_film(tmp_path, names):
    made = run("stylegan_walk_video", Pretended(*names), tmp_path)
    assert (tmp_path / "workflow_stylegan_walk_video.png").read_bytes() == b"b.png"
    assert made["seconds"] == 1.23 and made["picture"].endswith(".png")


@pytest.mark.parametrize("names", [(), ("film.mp4",)])
def test_a_graph_without_a_picture_shows_none(tmp_path, names):
    assert run("stylegan_walk_video", Pretended(*names), tmp_path) is None
    assert not list(tmp_path.iterdir())
