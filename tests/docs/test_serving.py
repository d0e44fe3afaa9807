"""The example of docs/serving.md answers a real HTTP client."""

import io
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_classmix import Predictor, Supervised
from tests import tiny

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")
uvicorn = pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

PAGE = Path(__file__).parents[2] / "docs/serving.md"


def test_the_example_answers_an_image_with_its_label_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny.trainer(max_steps=1)
    trainer.fit(
        Supervised(3, model="small_unet", class_names=["a", "b", "c"]), tiny.data()
    )
    checkpoint = tmp_path / "run.ckpt"
    trainer.save_checkpoint(checkpoint)
    monkeypatch.setenv("CLASSMIX_CHECKPOINT", str(checkpoint))
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(code) == 1
    assert code[0].count("\n") <= 32
    names: dict[str, Any] = {"__name__": "serve"}
    exec(code[0], names)

    server = uvicorn.Server(
        uvicorn.Config(names["app"], host="127.0.0.1", port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            classes = client.get("/classes")
            answer = client.post("/predict", files={"image": buffer.getvalue()})
            broken = client.post("/predict", files={"image": b"no image"})
    finally:
        server.should_exit = True
        thread.join()
    assert classes.json() == ["a", "b", "c"]
    assert answer.status_code == 200
    label = torch.from_numpy(np.array(Image.open(io.BytesIO(answer.content))))
    expected = Predictor.from_checkpoint(checkpoint)(pixels)
    assert torch.equal(label, expected)
    assert broken.status_code == 400
