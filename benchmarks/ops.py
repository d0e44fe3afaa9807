"""Time the operations of a mixing step, eager and compiled, and the teacher's update.

python benchmarks/ops.py [--device cuda] [--threads 1] [--no-compile] [--json FILE]

``noise`` are independent random logits, ``smooth`` are upsampled eight times, as the
logits of a network are.
"""

from collections.abc import Callable
from typing import Any

import torch
from timing import Clock, Report, arguments
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.functional import interpolate
from torchvision.models import resnet101

from lightning_classmix import ops

SHAPES = [(10, 21, 321, 321), (2, 19, 512, 1024), (4, 150, 512, 512)]  # (B, C, H, W)


def mixing_step(logits: Tensor, image: Tensor) -> tuple[Tensor, ...]:
    """Label, mask, mix and weight a batch."""
    confidence, label = ops.pseudo_label(logits)
    mask = ops.classmix_mask(label, logits.shape[1])
    mixed, target = ops.mix(image, mask), ops.mix(label, mask)
    weight = ops.pixel_weight(
        ops.mix(confidence, mask), "confident_share", valid=target != ops.VOID
    )
    return mixed, target, weight


def looped_step(logits: Tensor, image: Tensor) -> tuple[Tensor, ...]:
    """Do the same in the authors' manner: image by image, mixing whole softmax maps."""
    probability = logits.softmax(1)
    label = probability.argmax(1)
    images, targets = [], []
    for index in range(len(logits)):
        following = (index + 1) % len(logits)
        classes = label[index].unique()
        drawn = classes[torch.randperm(len(classes))[: len(classes) // 2]]
        mask = torch.isin(label[index], drawn).float()[None]
        images.append((mask * image[index] + (1 - mask) * image[following])[None])
        mixed = mask * probability[index] + (1 - mask) * probability[following]
        targets.append(mixed[None])
    confidence, target = torch.cat(targets).max(1)
    share = (confidence >= 0.968).sum().item() / confidence.numel()
    return torch.cat(images), target, torch.full_like(confidence, share)


def logits_of(shape: tuple[int, ...], kind: str, device: str) -> Tensor:
    """Return random logits, either independent per pixel or smooth."""
    batch, classes, height, width = shape
    if kind == "noise":
        return torch.randn(shape, device=device) * 3
    coarse = torch.randn(batch, classes, height // 8 + 1, width // 8 + 1) * 3
    return interpolate(coarse.to(device), size=(height, width), mode="bilinear")


def time_steps(report: Report, clock: Clock, *, compiled: bool) -> None:
    """Compare the mixing step with softmax and max, and with the loop."""
    options = report.options
    for shape in SHAPES:
        for kind in ("noise", "smooth"):
            logits = logits_of(shape, kind, options.device)
            image = torch.randn(shape[0], 3, *shape[2:], device=options.device)
            functions: dict[str, Callable[[], Any]] = {
                "softmax": lambda x=logits: x.softmax(1).max(1),
                "eager": lambda x=logits, y=image: mixing_step(x, y),
                "loop": lambda x=logits, y=image: looped_step(x, y),
            }
            if compiled:
                torch.compiler.reset()
                for name, dynamic in (("static", False), ("dynamic", True)):
                    step = torch.compile(mixing_step, fullgraph=True, dynamic=dynamic)
                    functions[name] = lambda f=step, x=logits, y=image: f(x, y)
            seconds = clock.interleave(functions, options.rounds)
            name = f"{kind} {shape}"
            cuda = clock.cuda
            limits = {"eager": "" if cuda else "<= 1.0"}
            limits["static"] = limits["dynamic"] = "<= 0.6" if cuda else "<= 0.5"
            for kept in ("eager", "static", "dynamic"):
                if kept in seconds:
                    report.add(
                        f"mixing step, {kept}, {name}",
                        "softmax(1).max(1)",
                        seconds[kept],
                        seconds["softmax"],
                        target=limits[kept],
                    )
            for kept, target in (("eager", "<= 0.33"), ("static", "<= 0.17")):
                if kept in seconds:
                    report.add(
                        f"mixing step, {kept}, {name}",
                        "the authors' manner",
                        seconds[kept],
                        seconds["loop"],
                        target=target,
                    )


def count_compilations(report: Report, clock: Clock) -> None:
    """Run ten shapes in a row through one compiled function."""
    for dynamic in (None, True):
        torch.compiler.reset()
        counter = CompileCounterWithBackend("inductor")
        step = torch.compile(
            mixing_step, backend=counter, fullgraph=True, dynamic=dynamic
        )
        ours, reference = [], []
        for index in range(10):
            shape = (2 + index % 3, 19, 64 + 8 * index, 160 - 8 * index)
            logits = logits_of(shape, "smooth", report.options.device)
            image = torch.randn(shape[0], 3, *shape[2:], device=report.options.device)
            step(logits, image)  # may compile
            start = clock.now()
            step(logits, image)
            middle = clock.now()
            logits.softmax(1).max(1)
            ours.append(middle - start)
            reference.append(clock.now() - middle)
        report.add(
            f"mixing step, compiled, ten small shapes, dynamic={dynamic}",
            "softmax(1).max(1)",
            ours,
            reference,
            note=f"{counter.frame_count} compilations, to reach <= 2",
        )


def time_class_counts(report: Report, clock: Clock) -> None:
    """Compare mask and mix of 255 classes with those of 2."""
    device = report.options.device
    image = torch.randn(10, 3, 321, 321, device=device)
    functions = {}
    for classes in (2, 21, 255):
        coarse = torch.randint(0, classes, (10, 41, 41), device=device)
        label = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
        label = label[:, :321, :321].contiguous()

        def mask_and_mix(label: Tensor = label, classes: int = classes) -> None:
            mask = ops.classmix_mask(label, classes)
            ops.mix(image, mask)
            ops.mix(label, mask)

        functions[str(classes)] = mask_and_mix
    seconds = clock.interleave(functions, 3 * report.options.rounds)
    for classes in (21, 255):
        report.add(
            f"mask and mix, {classes} classes",
            "2 classes",
            seconds[str(classes)],
            seconds["2"],
            target="<= 1.2",
        )


def time_teacher_update(report: Report, clock: Clock) -> None:
    """Compare the update of a ResNet-101 with one call of torch."""
    device = report.options.device
    networks: list[nn.Module] = [resnet101().to(device) for _ in range(2)]
    averages, values = (
        [parameter.detach() for parameter in network.parameters()]
        for network in networks
    )
    seconds = clock.interleave(
        {
            "lerp": lambda: torch._foreach_lerp_(averages, values, 0.01),
            "ours": lambda: ops.ema_update_(averages, values, 0.99),
        },
        3 * report.options.rounds,
    )
    report.add(
        "teacher update, ResNet-101",
        "torch._foreach_lerp_",
        seconds["ours"],
        seconds["lerp"],
        target="<= 1.1",
    )


def main() -> None:
    """Run all parts."""
    parser = arguments(__doc__)
    parser.add_argument("--no-compile", action="store_true", help="only eager rows")
    options = parser.parse_args()
    report = Report(options)
    clock = Clock(options.device, options.threads)
    with torch.no_grad():
        time_teacher_update(report, clock)
        time_class_counts(report, clock)
        time_steps(report, clock, compiled=not options.no_compile)
        if not options.no_compile:
            count_compilations(report, clock)
    report.write()


if __name__ == "__main__":
    main()
