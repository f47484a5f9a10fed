"""The plain sampling loop: exact on an ideal denoiser, per-sample seeds, interruptible."""

import pytest
import torch
from comfyui_figura.pipelines.common import diffusion
from comfyui_figura.pipelines.common.errors import FiguraInputError
from comfyui_figura.pipelines.common.text import PromptEmbeds

SHAPE = (4, 8, 6)
TARGET = torch.linspace(-1, 1, 4 * 8 * 6).reshape(SHAPE)


def ideal(scheduler):
    """The noise prediction of a network that knows the picture: every sampler must then arrive there."""

    def predict(latents, timestep):
        alpha = scheduler.alphas_cumprod[int(timestep)]
        return (latents - alpha.sqrt() * TARGET) / (1 - alpha).sqrt()

    return predict


@pytest.mark.parametrize("name", diffusion.SAMPLERS)
def test_every_sampler_arrives_at_the_picture(name):
    scheduler = diffusion.make_scheduler(name)
    out = diffusion.sample(ideal(scheduler), scheduler, SHAPE, [1, 2], 20)
    # DDIM and PNDM end at the lowest noise of training, sqrt(1 - alpha_0) = 0.029; the others at zero.
    assert (out - TARGET).std() < 0.04


@pytest.mark.parametrize("name", ["euler", "euler_a", "ddim"])
def test_a_sample_does_not_depend_on_its_neighbours(name):
    def run(seeds):
        scheduler = diffusion.make_scheduler(name)
        return diffusion.sample(lambda x, t: x * 0.3, scheduler, SHAPE, seeds, 5)

    assert torch.equal(run([7, 8, 9])[1:2], run([8]))
    assert not torch.equal(run([7]), run([8]))


@pytest.mark.parametrize("name", diffusion.SAMPLERS)
def test_refining_runs_only_its_share_of_the_steps(name):
    calls = []
    scheduler = diffusion.make_scheduler(name)
    predict = ideal(scheduler)
    start = TARGET[None] + 0.01
    out = diffusion.sample(
        predict, scheduler, SHAPE, [3], 50, start=start, strength=0.3,
        progress=lambda done, total, preview=None: calls.append((done, total)),
    )  # fmt: skip
    # PNDM doubles one step of the fifty.
    assert calls[-1][0] == calls[-1][1] and calls[-1][1] in (15, 16)
    assert (out - TARGET).std() < 0.04


def test_a_listener_can_stop_it():
    calls = []

    class Stop(Exception):
        pass

    def listener(done, total, preview=None):
        assert preview.shape == (3, 8, 6) and preview.abs().max() <= 1
        calls.append(done)
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        diffusion.sample(lambda x, t: x, diffusion.make_scheduler("euler"), SHAPE, [0], 9, progress=listener)
    assert calls == [1, 2]


def test_guidance_is_the_published_formula():
    class Net(torch.nn.Module):
        def forward(self, x, t, context, added_cond_kwargs=None):
            class Out:
                sample = x * context.mean(dim=(1, 2))[:, None, None, None]

            return Out

    positive, negative = PromptEmbeds(torch.full((1, 2, 3), 5.0)), PromptEmbeds(torch.full((1, 2, 3), 2.0))
    x = torch.rand(2, *SHAPE)
    predict = diffusion.guided(Net(), positive, negative, 7.5)
    torch.testing.assert_close(predict(x, torch.tensor(1)), x * (2 + 7.5 * 3))
    torch.testing.assert_close(diffusion.guided(Net(), positive, negative, 1)(x, torch.tensor(1)), x * 5)


def test_wrong_values_are_refused():
    with pytest.raises(FiguraInputError, match="sampler.*ddim"):
        diffusion.make_scheduler("nonsense")
    with pytest.raises(FiguraInputError, match="steps"):
        diffusion.sample(lambda x, t: x, diffusion.make_scheduler("ddim"), SHAPE, [0], 0)
