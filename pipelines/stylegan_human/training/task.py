"""StyleGAN training as a task of the shared trainer: networks, optimisers, and one update of all phases."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...common.training.averages import update_average
from ...common.training.order import key
from ...common.training.step import Step
from ...common.training.task import Task
from ..loading import save_generator
from ..networks.generator import Generator
from .adversary import Adversary, Reports, TrainedGenerator
from .augmentation.blur import blur_sigma
from .augmentation.control import AugmentControl
from .augmentation.pipe import AugmentPipe
from .draws import Draws
from .image_set import ImageSet
from .measuring import Measuring
from .phases import AdamSettings, Phase, plan_phases
from .presets import Recipe
from .starting import Networks, frozen_layers, save_networks

LOGGED = {  # names in the reports -> in the log
    "G/loss": "G_loss", "pl_penalty": "path_length_penalty", "D/loss_fake": "D_loss_fake",
    "D/loss_real": "D_loss_real", "r1_penalty": "r1_penalty", "scores/real": "score_real",
    "scores/fake": "score_fake",
}  # fmt: skip
GRID = 32  # pictures in a sample grid


class GanTask(Task):
    """Modules ``G`` and ``D``, average ``G_ema``. Losses hold gradients of gradients, hence unwrapped."""

    wrapped = False

    def __init__(
        self, recipe: Recipe, networks: Networks, data: ImageSet, seed: int = 0, freezed: int = 0,
        measuring: Measuring | None = None, nhwc: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.recipe, self.data, self.seed, self.length = recipe, data, seed, len(data)
        generator, discriminator = networks.generator.train(), networks.discriminator.train()
        if nhwc and recipe.losses.third:  # StyleGAN2's generator has a layout of its own, channels last too
            _channels_last(generator)
        self.modules = {"G": TrainedGenerator(generator), "D": _channels_last(discriminator)}
        self.averages = {"G_ema": networks.average.eval().requires_grad_(False)}
        still = {id(parameter) for parameter in frozen_layers(discriminator, freezed)}
        self.learning = [p for p in discriminator.parameters() if id(p) not in still]
        for parameter in discriminator.parameters():
            parameter.requires_grad_(id(parameter) not in still)
        self.optimizers = {
            "G": _adam(generator.parameters(), recipe.g_adam.slowed(recipe.g_interval)),
            "D": _adam(self.learning, recipe.d_adam.slowed(recipe.d_interval)),
        }
        self.phases = plan_phases(recipe.g_interval, recipe.d_interval)
        ada = recipe.ada
        self.control = (
            AugmentControl(None) if ada is None else AugmentControl(ada.target, ada.kimg, ada.interval, ada.p)
        )
        self.pipe = None if ada is None else AugmentPipe(ada.pipe)
        self.frozen = {} if self.pipe is None else {"augmentation": self.pipe}
        self.adversary = Adversary(self.modules["G"], self.modules["D"], recipe.losses, self.pipe, nhwc)
        self.measuring = measuring
        self.measured_untrained = measuring is not None and measuring.ruler is not None

    @property
    def average(self) -> Generator:
        """The generator that makes the pictures."""
        return self.averages["G_ema"]  # type: ignore[return-value]

    def batch(self, indices: list[int]) -> dict[str, Tensor]:
        """``pixels`` uint8 [B, 3, H, W] and, for a conditional network, ``labels``."""
        return self.data.batch(indices)

    def names(self, indices: list[int]) -> list[str]:
        """File names."""
        return self.data.names(indices)

    def draws(self, step: Step) -> Draws:
        """The randomness of one update, on the device."""
        generator = step.generator("gan")
        if step.device.type != "cpu":
            seed = torch.randint(2**62, (), generator=generator).item()
            generator = torch.Generator(step.device).manual_seed(int(seed))
        return Draws(generator, self.recipe.losses.style_mixing_prob, self.recipe.noise_mode)

    def update(self, batch: dict[str, Tensor], step: Step) -> dict[str, Tensor | float]:
        """Every phase that is due, then the moving average, then the strength of augmentation.

        A phase that is not finite is skipped, and all after it: they play against what it should have become.
        Those before it stay; they were sound, and undoing them would need a copy of weights and Adam.
        """
        draws, losses = self.draws(step), self.recipe.losses
        inputs = self._inputs(batch, draws, step.device)
        self.adversary.sigma = blur_sigma(losses.blur_init_sigma, losses.blur_fade_kimg, step.samples_seen)
        if self.pipe is not None:
            self.pipe.p, self.pipe.generator = self.control.p, draws.generator
        log: dict[str, Tensor | float] = {}
        before = self._running_means()
        count = len(batch["pixels"])
        for index, phase in enumerate(self.phases):
            if self._runs(phase, step.number):
                own = {
                    name: x[index * count : (index + 1) * count]
                    for name, x in inputs.items()
                    if name[0] == "z"
                }
                log |= self._run(phase, inputs | own, draws, step)
        if step.bad:  # what a NaN has entered would stay NaN for good
            self._put_back(before)
        self._after(step)
        return log | self._figures()

    def _means(self) -> list[Tensor]:
        """The buffers that move with every update."""
        named = self.modules["G"].named_buffers()
        return [buffer for name, buffer in named if name.endswith(("w_avg", "magnitude_ema"))]

    def _running_means(self) -> tuple[list[Tensor], tuple[float, float, float]]:
        own = self.adversary.path.mean, self.control.signs, self.control.count
        return [buffer.clone() for buffer in self._means()], own

    @torch.no_grad()
    def _put_back(self, before: tuple[list[Tensor], tuple[float, float, float]]) -> None:
        for buffer, kept in zip(self._means(), before[0], strict=True):
            buffer.copy_(kept)
        self.adversary.path.mean, self.control.signs, self.control.count = before[1]

    def _inputs(self, batch: dict[str, Tensor], draws: Draws, device: torch.device) -> dict[str, Tensor]:
        """``real`` in [-1, 1] and ``z``, for all phases at once, and labels of both where there are any."""
        pixels = batch["pixels"].to(device)
        layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        real = pixels.to(torch.float32, memory_format=layout) / 127.5 - 1
        count = len(self.phases) * len(pixels)
        inputs = {"real": real, "z": draws.latents(count, self.recipe.generator.z_dim).to(device)}
        if self.data.labels is not None:
            labels, source = self.data.labels, draws.generator
            chosen = torch.randint(len(labels), (count,), generator=source, device=source.device)
            inputs |= {"real_c": batch["labels"].to(device), "z_c": labels[chosen.cpu()].to(device)}
        return inputs

    def _runs(self, phase: Phase, number: int) -> bool:
        """A phase of a regulariser without weight owns latents, but never runs."""
        losses = self.recipe.losses
        weight = losses.pl_weight if phase.network == "G" else losses.r1_gamma
        return phase.due(number) and (phase.main or weight > 0)

    def _run(
        self, phase: Phase, inputs: dict[str, Tensor], draws: Draws, step: Step
    ) -> dict[str, Tensor | float]:
        """One phase: gradients of all rounds added up, then a step of its optimiser."""
        self._learns(phase.network == "D")  # gradients for the other player would be thrown away
        rounds: list[Reports] = []
        for part in step.parts(inputs):
            rounds.append(
                self.adversary.run(
                    phase, part["real"], part.get("real_c"), part["z"], part.get("z_c"), draws, step.backward
                )
            )
        self._learns(True)
        clean_gradients(self.optimizers[phase.network])
        step.apply(phase.network)
        self._note(phase, rounds)
        means = {name: torch.cat([r[name].flatten() for r in rounds]).mean() for name in rounds[0]}
        return {LOGGED[name]: value for name, value in means.items() if name in LOGGED}

    def _learns(self, yes: bool) -> None:
        for parameter in self.learning:
            parameter.requires_grad_(yes)

    def _note(self, phase: Phase, rounds: list[Reports]) -> None:
        if phase.network == "D" and self.control.target is not None:
            for reports in rounds:
                self.control.report(reports["scores/real"])

    def _after(self, step: Step) -> None:
        recipe, accelerator = self.recipe, step.accelerator
        if accelerator is not None and accelerator.num_processes > 1:
            self._agree(accelerator)
        beta = ema_beta(recipe.batch, recipe.ema_kimg, recipe.ema_rampup, step.samples_seen)
        if "G" in step.applied:
            update_average(self.average, self.modules["G"].generator, beta)  # type: ignore[arg-type]
        if self.control.due(step.number + 1):
            self.control.adjust(recipe.batch)

    @torch.no_grad()
    def _agree(self, accelerator: Any) -> None:
        """Average over processes what each has collected on its own, so that a resumed run finds all
        alike."""
        buffers = self._means()
        own = [self.adversary.path.mean, self.control.signs, self.control.count]
        numbers = torch.tensor(own, dtype=torch.float64, device=accelerator.device)
        numbers = accelerator.reduce(numbers, "mean")
        flat = accelerator.reduce(torch.cat([buffer.reshape(-1) for buffer in buffers]), "mean")
        for buffer, part in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(part.view_as(buffer))
        self.adversary.path.mean, self.control.signs, self.control.count = numbers.tolist()

    def _figures(self) -> dict[str, float]:
        figures = {}
        if self.pipe is not None:
            figures["augment_p"] = self.control.p
        if self.recipe.losses.blur_fade_kimg:
            figures["blur_sigma"] = self.adversary.sigma
        if self.recipe.losses.pl_weight:
            figures["path_length_mean"] = self.adversary.path.mean
        return figures

    def samples(self, step: int) -> dict[str, Tensor]:
        """The same latents every time, through the average."""
        z = torch.randn(
            GRID, self.recipe.generator.z_dim, generator=torch.Generator().manual_seed(key(self.seed, "grid"))
        )
        device = self.average.mapping.w_avg.device
        c = None if self.data.labels is None else self.data.labels[torch.arange(GRID) % len(self.data.labels)]
        chunks = zip(z.split(8), [None] * 4 if c is None else c.split(8), strict=True)
        pixels = [self.average(z.to(device), None if c is None else c.to(device)).cpu() for z, c in chunks]
        return {"samples": torch.cat(pixels) * 0.5 + 0.5}

    def measure(self, step: int) -> dict[str, float]:
        """Keep a snapshot of the average, and measure it where there is a feature network."""
        return {} if self.measuring is None else self.measuring(self.average, step * self.recipe.batch)

    def state(self) -> dict[str, Any]:
        """Running means that are no tensors, and which snapshot was the best."""
        control = self.control
        return {
            "path_mean": self.adversary.path.mean, "p": control.p, "signs": control.signs,
            "count": control.count, "best": None if self.measuring is None else self.measuring.best,
        }  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self.adversary.path.mean = state["path_mean"]
        self.control.p, self.control.signs, self.control.count = state["p"], state["signs"], state["count"]
        best = state.get("best")  # none in the checkpoints of older runs
        if self.measuring is not None and best is not None:
            self.measuring.best = best[0], best[1], best[2]

    def finish(self, out: Path) -> None:
        """``network.safetensors`` for everybody, ``training.safetensors`` (G, D, G_ema) for --resume."""
        save_generator(out / "network.safetensors", self.average)
        generator: Any = self.modules["G"].generator
        save_networks(out / "training.safetensors", Networks(generator, self.modules["D"], self.average))  # type: ignore[arg-type]


def ema_beta(batch: int, ema_kimg: float, rampup: float | None, samples_seen: int) -> float:
    """How much of the old average an update of ``batch`` samples keeps (StyleGAN2-ada, appendix C).

    The average's half-life is ``ema_kimg`` thousand samples, but no more than ``rampup`` times those seen
    *before* this update, so that the first average is the network itself.
    """
    half_life = ema_kimg * 1000
    if rampup is not None:
        half_life = min(half_life, samples_seen * rampup)
    return 0.5 ** (batch / max(half_life, 1e-8))


def clean_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Overflows of half precision: NaN becomes 0, infinities become 1e5 in size, as published.

    A loss that is not finite is another matter: the trainer skips that update and counts it.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                torch.nan_to_num(parameter.grad, 0.0, 1e5, -1e5, out=parameter.grad)


def _adam(parameters: Iterable[nn.Parameter], settings: AdamSettings) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=settings.lr, betas=settings.betas, eps=settings.eps)


def _channels_last(module: nn.Module) -> nn.Module:
    """The memory layout that a CPU's convolutions want; a GPU takes either."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
