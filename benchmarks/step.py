"""Time whole training steps through the Trainer against a bare loop.

python benchmarks/step.py [--device cuda] [--threads 1] [--precision bf16-mixed]
                          [--steps 40] [--only SmallUNet] [--json FILE]

A callback runs the step of the bare loop between two steps of the Trainer, so that both
are measured in turn. A step of the Trainer is everything from one batch to the next:
loops, hooks, logging to a CSV file, pictures and the health of pseudo-labels.
"""

import argparse
import copy
import logging
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from ops import looped_step  # the script beside this one
from timing import Clock, Report, arguments
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from lightning_classmix import ClassMix, EMATeacher, build_model, ops
from lightning_classmix.callbacks.pictures import Pictures
from lightning_classmix.callbacks.pseudo_label_health import PseudoLabelHealth

CLASSES = 11
# name: model, encoder, (height, width), images of each kind, limits on cpu and cuda
CASES = {
    "SmallUNet": ("small_unet", "", (96, 128), 4, 1.15),
    "FPN MobileNetV2": ("fpn", "mobilenet_v2", (160, 160), 4, 1.05),
}
CUDA_CASES = {
    "DeepLab-v2 ResNet-101": ("deeplabv2", "resnet101", (321, 321), 10, 1.05),
    "DeepLabV3+ ResNet-50": ("deeplabv3plus", "resnet50", (512, 1024), 2, 1.05),
}


def batch_of(size: tuple[int, int], images: int, device: str) -> dict[str, Any]:
    """Return a batch that follows the batch contract; labels are blocks of pixels."""
    height, width = size
    coarse = torch.randint(0, CLASSES, (images, height // 8 + 1, width // 8 + 1))
    label = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :height, :width]
    labeled = {"image": torch.randn(images, 3, *size), "label": label.contiguous()}
    unlabeled = {"image": torch.randn(images, 3, *size)}
    return {
        "labeled": {name: tensor.to(device) for name, tensor in labeled.items()},
        "unlabeled": {name: tensor.to(device) for name, tensor in unlabeled.items()},
    }


def loader(batch: Any, steps: int) -> DataLoader[Any]:
    """Return a loader that yields one batch again and again, without work."""
    return DataLoader(dataset=[batch] * steps, batch_size=None)


class BareLoop:
    """A ClassMix step without Lightning and without our module, on the same networks.

    Teachers label with the statistics of the unlabeled batch, as `ClassMix` does.
    ``looped`` mixes and averages in the authors' manner: image by image, whole softmax
    maps, and parameter by parameter.
    """

    def __init__(
        self, student: nn.Module, augment: Any, options: Any, *, looped: bool
    ) -> None:
        self.student, self.augment, self.looped = student, augment, looped
        self.autocast = partial(
            torch.autocast,
            options.device.split(":")[0],
            torch.bfloat16,
            enabled="bf16" in options.precision,
        )
        self.teacher = copy.deepcopy(student).requires_grad_(False).train()
        self.optimizer = torch.optim.AdamW(student.parameters(), 1e-3)

    def step(self, batch: dict[str, Any]) -> None:
        """Do one optimizer step."""
        image = batch["unlabeled"]["image"]
        with self.autocast():
            with torch.no_grad():
                mix = self._mix_by_loop if self.looped else self._mix
                mixed, target, weight = mix(self.teacher(image), image)
                mixed = self.augment(mixed)
            labeled = batch["labeled"]
            logits, mixed_logits = self.student(labeled["image"]), self.student(mixed)
        losses = nn.functional.cross_entropy(
            mixed_logits.float(), target.long(), reduction="none"
        )
        loss = nn.functional.cross_entropy(logits.float(), labeled["label"])
        (loss + (losses * weight).mean()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            averages = [*self.teacher.parameters()]
            values = [*self.student.parameters()]
            if self.looped:
                for average, value in zip(averages, values, strict=True):
                    average.copy_(0.99 * average + 0.01 * value)
            else:
                torch._foreach_lerp_(averages, values, 0.01)

    @staticmethod
    def _mix(logits: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        confidence, label = logits.softmax(1).max(1)
        mask = ops.classmix_mask(label, CLASSES)
        target = torch.where(mask, label, label.roll(-1, 0))
        mixed = torch.where(mask[:, None], image, image.roll(-1, 0))
        return mixed, target, torch.ones_like(confidence)

    @staticmethod
    def _mix_by_loop(logits: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixed, target, weight = looped_step(logits, image)
        return mixed, target, weight


class Between(Callback):
    """Run other steps between two steps of the Trainer, and time both."""

    def __init__(self, others: dict[str, BareLoop], clock: Clock, skip: int) -> None:
        self.others, self.clock, self.skip = others, clock, skip
        self.seconds: dict[str, list[float]] = {
            "trainer": [],
            **{n: [] for n in others},
        }
        self.mark = 0.0

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        """Time the step that ends here, then the others."""
        batch = rest[2]
        taken = {"trainer": self.clock.now() - self.mark}
        for name, other in self.others.items():
            start = self.clock.now()
            other.step(batch)
            taken[name] = self.clock.now() - start
        if trainer.global_step > self.skip:
            for name, seconds in taken.items():
                self.seconds[name].append(seconds)
        self.mark = self.clock.now()


def module_of(case: tuple[Any, ...]) -> ClassMix:
    """Return a ClassMix module that mixes from the first step on."""
    model, encoder, _, _, _ = case
    return ClassMix(
        CLASSES,
        model=model,
        encoder=encoder or "resnet18",
        encoder_weights=None,
        labeled_only_steps=0,
        ramp_steps=0,
    )


def trainer_of(options: Any, steps: int, folder: str, callbacks: list[Any]) -> Trainer:
    """Return a Trainer that logs and draws at the default intervals."""
    return Trainer(
        accelerator="gpu" if options.device.startswith("cuda") else "cpu",
        devices=1,
        precision=options.precision,
        max_steps=steps,
        logger=CSVLogger(folder),
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def time_case(name: str, case: tuple[Any, ...], report: Report, clock: Clock) -> None:
    """Add the rows of one network."""
    options = report.options
    _, _, size, images, limit = case
    seed_everything(0, verbose=False)
    module = module_of(case)
    device = options.device
    others = {
        kind: BareLoop(
            build_student(case).to(device).train(),
            module.augment,
            options,
            looped=kind == "looped",
        )
        for kind in ("bare", "looped")
    }
    between = Between(others, clock, skip=5)
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [EMATeacher(), PseudoLabelHealth(), Pictures(), between]
        trainer = trainer_of(options, options.steps + 5, folder, callbacks)
        batch = batch_of(size, images, device)
        trainer.fit(module, loader(batch, options.steps + 5))
    seconds = between.seconds
    what = f"step, {name}, {images} + {images} of {size[0]}x{size[1]}"
    report.add(
        what,
        "bare loop",
        seconds["trainer"],
        seconds["bare"],
        target=f"<= {limit}",
    )
    report.add(
        what,
        "the authors' manner",
        seconds["trainer"],
        seconds["looped"],
        target="<= 0.4" if clock.cuda else "<= 1.0",
    )


def build_student(case: tuple[Any, ...]) -> nn.Module:
    """Return a network like the module's."""
    model, encoder, _, _, _ = case
    return build_model(model, encoder or "resnet18", CLASSES)


def print_peak(kind: str, name: str, options: Any) -> None:
    """Print the memory in MB that tensors of four steps take at their peak.

    On the CPU only tensors count: the process also holds libraries, which are loaded
    when Lightning first needs them.
    """
    case = (CASES | CUDA_CASES)[name]
    _, _, size, images, _ = case
    batch = batch_of(size, images, options.device)
    module = module_of(case)

    def steps() -> None:
        if kind == "bare":
            student = module.student.to(options.device)
            loop = BareLoop(student, module.augment, options, looped=False)
            for _ in range(4):
                loop.step(batch)
            return
        with tempfile.TemporaryDirectory() as folder:
            callbacks = [EMATeacher(), PseudoLabelHealth(), Pictures()]
            trainer_of(options, 4, folder, callbacks).fit(module, loader(batch, 4))

    if options.device.startswith("cuda"):
        steps()
        print(torch.cuda.max_memory_allocated() / 2**20)
        return
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        steps()
    events: Any = profiler.profiler.kineto_results.events()
    sizes = [
        (event.start_ns(), event.nbytes())
        for event in events
        if event.name() == "[memory]"
    ]
    print(max(accumulate(size for _, size in sorted(sizes))) / 2**20)


def compare_memory(name: str, report: Report) -> None:
    """Add a row of peak memory, in MB in the columns of milliseconds."""
    peaks = {}
    for kind in ("trainer", "bare"):
        command = [sys.executable, __file__, "--device", report.options.device]
        command += ["--peak", kind, "--only", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[kind] = float(done.stdout.split()[-1]) / 1e3  # MB in place of ms
    report.add(
        f"peak memory of tensors, {name}",
        "bare loop",
        [peaks["trainer"]],
        [peaks["bare"]],
        target="<= 1.05",
        note="MB in place of ms",
    )


def main() -> None:
    """Run all parts."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=40, help="steps that are timed")
    parser.add_argument("--precision", default="32-true", help="precision of Trainer")
    parser.add_argument("--only", help="name of the only network to time")
    parser.add_argument("--peak", choices=["trainer", "bare"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if options.peak:
        torch.set_num_threads(options.threads)
        print_peak(options.peak, options.only, options)
        return
    report = Report(options)
    clock = Clock(options.device, options.threads)
    cases = CASES | (CUDA_CASES if clock.cuda else {})
    for name, case in cases.items():
        if options.only in (None, name):
            time_case(name, case, report, clock)
            compare_memory(name, report)
    report.write()


if __name__ == "__main__":
    main()
