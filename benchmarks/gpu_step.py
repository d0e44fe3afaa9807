"""Time ClassMix steps of large networks on a GPU, in several precisions.

python benchmarks/gpu_step.py [--device cuda] [--steps 20] [--only DPT] [--json FILE]

For each network and setting: images (labeled and unlabeled) per second, peak memory,
the share of what matrix products of that type reach on the device, and which shares of
the time the teacher, mixing and augmentation take; the rest is the student. Waiting for
data is left out, as the batch is on the device; see data.py. The ratio is against the
first setting, in float32.
"""

import time
import warnings
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import torch
from step import CLASSES, batch_of
from timing import Clock, Report, arguments
from torch.utils.flop_counter import FlopCounterMode

from lightning_classmix import ClassMix, ops
from lightning_classmix.callbacks.ema_teacher import EMATeacher

# name: model, encoder, (height, width), images of each kind
NETWORKS = {
    "DeepLab-v2 ResNet-101": ("deeplabv2", "resnet101", (321, 321), 10),
    "DeepLab-v2 ResNet-101, 512x1024": ("deeplabv2", "resnet101", (512, 1024), 2),
    "DeepLabV3+ ResNet-50": ("deeplabv3plus", "resnet50", (512, 1024), 2),
    "DPT DINOv2-base": (
        "dpt",
        "tu-vit_base_patch14_dinov2.lvd142m",
        (518, 518),
        4,
    ),
}
# precision, compile, channels_last
SETTINGS = [
    ("32-true", False, False),
    ("16-mixed", False, False),
    ("bf16-mixed", False, False),
    ("bf16-mixed", False, True),
    ("bf16-mixed", True, False),
    ("bf16-mixed", True, True),
]
DTYPES = {
    "32-true": torch.float32,
    "16-mixed": torch.float16,
    "bf16-mixed": torch.bfloat16,
}
MATRIX = 8192  # side of the matrices whose product is the peak


class Step:
    """A ClassMix step, with the time of its parts."""

    def __init__(self, network: tuple[Any, ...], setting: Any, device: str) -> None:
        model, encoder, size, images = network
        precision, compiled, channels_last = setting
        self.dtype, self.device = DTYPES[precision], device
        self.module = ClassMix(
            CLASSES, model=model, encoder=encoder, encoder_weights=None
        ).to(device)
        self.module.student.train()
        for part in (self.module.student, self.module.teacher.network):
            if channels_last:
                part.to(memory_format=torch.channels_last)
            if compiled:
                part.compile()
        self.optimizer = torch.optim.AdamW(self.module.student.parameters(), 1e-4)
        self.scaler = torch.amp.GradScaler(
            device.split(":")[0], enabled=precision == "16-mixed"
        )
        self.batch = batch_of(size, images, device)
        if channels_last:
            for part in self.batch.values():
                part["image"] = part["image"].to(memory_format=torch.channels_last)
        self.teacher = EMATeacher()
        self.marks: list[tuple[str, Any]] = []

    def mark(self, name: str) -> None:
        """Note the end of a part of the step."""
        if self.device.startswith("cuda"):
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append((name, event))
        else:
            self.marks.append((name, time.perf_counter()))

    def __call__(self) -> None:
        """Do one optimizer step and update the teacher."""
        module, batch = self.module, self.batch
        self.marks = []
        self.mark("start")
        with torch.autocast(
            self.device.split(":")[0], self.dtype, self.dtype != torch.float32
        ):
            with torch.no_grad():
                pseudo = module.pseudo_label(batch["unlabeled"])
                self.mark("teacher")
                mask = module.mixer(pseudo.label)
                image = ops.mix(batch["unlabeled"]["image"], mask)
                target = ops.mix(pseudo.label, mask)
                confidence = ops.mix(pseudo.confidence, mask)
                weight = module.weighting(confidence, valid=target != ops.VOID)
                self.mark("mixing")
                image = module.augment(image)
                self.mark("augmentation")
            labeled = module.labeled_step(batch["labeled"])
            logits = module.student(image)
            loss = labeled + ops.cross_entropy(logits, target, weight=weight)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.mark("student")
        self.teacher._update(module.student, module.teacher.network)
        self.mark("teacher update")

    def shares(self) -> dict[str, float]:
        """Return the share of each part in the time of the last step."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        first = self.marks[0][1]
        ends = [
            first.elapsed_time(mark) if hasattr(mark, "elapsed_time") else mark - first
            for _, mark in self.marks
        ]
        parts: dict[str, float] = {}
        for (name, _), start, end in zip(self.marks[1:], ends, ends[1:], strict=False):
            parts[name] = (end - start) / ends[-1]
        return parts


def matmul_peak(dtype: torch.dtype, options: Namespace, clock: Clock) -> float:
    """Return the operations per second that a large matrix product reaches."""
    side = MATRIX if clock.cuda else 512
    left = torch.randn(side, side, device=options.device).to(dtype)
    seconds = clock.interleave({"product": lambda: left @ left}, 5)["product"]
    return 2.0 * side**3 / min(seconds)


def operations(step: Step) -> int:
    """Return the floating-point operations of a step in matrix products."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def time_network(
    name: str, network: tuple[Any, ...], report: Report, clock: Clock
) -> None:
    """Add a row for each setting of a network."""
    options = report.options
    reference: list[float] = []
    count = 0
    for setting in SETTINGS:
        precision, compiled, channels_last = setting
        torch.compiler.reset()
        if clock.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            step = Step(network, setting, options.device)
            if not count:
                count = operations(step)
            call: Callable[[], None] = step
            seconds = clock.interleave({"step": call}, options.steps)["step"]
        except torch.OutOfMemoryError:
            print(f"skipped: {name}, {precision}: not enough memory", flush=True)
            continue
        reference = reference or seconds
        middle = sorted(seconds)[len(seconds) // 2]
        peak = matmul_peak(DTYPES[precision], options, clock)
        images = 2 * network[3]
        memory = torch.cuda.max_memory_allocated() / 2**30 if clock.cuda else 0.0
        shares = ", ".join(f"{k} {v:.0%}" for k, v in step.shares().items())
        report.add(
            f"{name}, {precision}"
            + ", compiled" * compiled
            + ", channels_last" * channels_last,
            "float32",
            seconds,
            reference,
            note=f"{images / middle:.1f} images/s, {memory:.1f} GiB,"
            f" {count / middle / peak:.0%} of the matmul peak; {shares}",
        )


def main() -> None:
    """Run all networks, or say that there is no GPU."""
    parser = arguments(__doc__, device="cuda")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--only", default="", help="part of the names of the networks")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("skipped: gpu_step.py needs a GPU, and torch finds none")
        return
    torch.set_float32_matmul_precision("high")
    report = Report(options)
    clock = Clock(options.device, options.threads)
    for name, network in NETWORKS.items():
        if options.only in name:
            time_network(name, network, report, clock)
    report.write()


if __name__ == "__main__":
    main()
