"""Files of random content end in a result or in a ValueError that names the file."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lightning_classmix.checkpoints import read_checkpoint
from lightning_classmix.datasets.folders.pairing import read_list
from lightning_classmix.datasets.image_reading import read_image
from lightning_classmix.datasets.labels.class_info import read_classes
from lightning_classmix.datasets.labels.label_reading import read_label
from lightning_classmix.datasets.splits import read_split

bounded = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def accepted_or_refused(read: Callable[[Path], object], path: Path) -> None:
    """Read a file, which may be refused with its name; other errors fail the test."""
    message = path.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of broken files
        try:
            read(path)
        except (FileNotFoundError, ValueError) as error:
            message = str(error)
    assert path.name in message or str(path.parent) in message


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
IMAGES = [
    encoded(Image.fromarray(PIXELS), "PNG"),
    encoded(Image.fromarray(PIXELS).convert("P"), "PNG"),
    encoded(Image.fromarray(PIXELS.astype(np.uint16)), "TIFF"),
    encoded(Image.fromarray(np.stack([PIXELS] * 3, 2)), "BMP"),
]


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """Change, cut or extend one of the files."""
    content = bytearray(draw(st.sampled_from(originals)))
    positions = st.integers(0, len(content) - 1)
    for position, value in draw(st.lists(st.tuples(positions, st.integers(0, 255)))):
        content[position] = value
    content = content[: draw(st.one_of(st.none(), positions))]
    return bytes(content) + draw(st.binary(max_size=8))


@pytest.mark.parametrize("read", [read_label, read_image])
@bounded
@given(content=st.one_of(st.binary(max_size=64), damaged(IMAGES)))
def test_damaged_images(
    read: Callable[[Path], object], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    accepted_or_refused(read, path)


LINES = st.lists(
    st.one_of(
        st.sampled_from(["image,label", "a.png,b.png", "a.png", "#", "a.png b.png"]),
        st.text(max_size=12),
    ),
    max_size=6,
).map("\n".join)


def lines_or_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogatepass")


@bounded
@given(text=st.one_of(LINES, st.binary(max_size=40)))
def test_lists_of_images(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(lines_or_bytes(text))
    accepted_or_refused(lambda path: read_list(path, tmp_path), path)


@bounded
@given(text=st.one_of(LINES, st.binary(max_size=40)))
def test_splits(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "split.txt"
    path.write_bytes(lines_or_bytes(text))
    names = ["a", "b/a", "c"]

    def read(path: Path) -> None:
        found = read_split(str(path), names)
        assert found
        assert len({*found}) == len(found)
        assert {*found} <= {0, 1, 2}

    accepted_or_refused(read, path)


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-300, 300),
        st.floats(),
        st.sampled_from(["#ff0000", "road", "void", ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.integers(-2, 300), st.sampled_from(["#ff0000", "x"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
KEYS = ["class_names", "palette", "label_map", "num_classes", "nmae"]


@bounded
@given(
    content=st.one_of(
        values, st.dictionaries(st.sampled_from(KEYS), values), st.binary(max_size=30)
    )
)
def test_class_files(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    if not isinstance(content, bytes):
        content = yaml.safe_dump(content).encode()
    path.write_bytes(content)
    accepted_or_refused(read_classes, path)


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


CHECKPOINTS = [
    saved(
        {
            "state_dict": {"a": torch.zeros(2)},
            "class_paths": {},
            "base_seed": 0,
            "pytorch-lightning_version": "2.6.0",
        }
    ),
    saved([torch.ones(2)]),
]


@bounded
@given(
    content=st.one_of(
        st.binary(max_size=40), damaged(CHECKPOINTS), values.map(lambda v: saved(v))
    )
)
def test_checkpoints(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    accepted_or_refused(read_checkpoint, path)
