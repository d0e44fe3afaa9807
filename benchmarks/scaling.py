"""Time a step as the batch and the images grow.

python benchmarks/scaling.py [--device cuda] [--threads 1] [--json FILE]

The ratio is time per pixel against the smallest step: 1 is linear growth, less means
that a small step has costs that do not grow (the optimizer, the teacher's update, the
start of each operation), more that images leave the caches. The step is the bare loop
of step.py on FPN MobileNetV2.
"""

from step import CLASSES, BareLoop, batch_of
from timing import Clock, Report, arguments

from lightning_classmix import ClassMix

# images of each kind, and the side of the images in pixels
GROWTH = [
    [(1, 128), (2, 128), (4, 128), (8, 128)],
    [(2, 128), (2, 256), (2, 512)],
]


def main() -> None:
    """Run all sizes."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--precision", default="32-true", help="32-true or bf16-mixed")
    options = parser.parse_args()
    report = Report(options)
    clock = Clock(options.device, options.threads)
    module = ClassMix(
        CLASSES, model="fpn", encoder="mobilenet_v2", encoder_weights=None
    ).to(options.device)
    loop = BareLoop(module.student.train(), module.augment, options, looped=False)
    for sizes in GROWTH:
        batches = {
            f"{images} + {images} of {side}x{side}": (
                images * side**2,
                batch_of((side, side), images, options.device),
            )
            for images, side in sizes
        }
        functions = {
            name: lambda batch=batch: loop.step(batch)
            for name, (_, batch) in batches.items()
        }
        seconds = clock.interleave(functions, options.rounds)
        first, *rest = batches
        for name in rest:
            growth = batches[name][0] / batches[first][0]
            report.add(
                f"step, {name}",
                f"{growth:.0f} times a step of {first}",
                seconds[name],
                [growth * each for each in seconds[first]],
            )
    report.write()


if __name__ == "__main__":
    main()
