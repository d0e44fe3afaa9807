"""Training on two nodes, simulated over the loopback interface."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_nodes_have_the_same_teacher_and_read_disjoint_images(
    tmp_path: Path,
) -> None:
    with socket.socket() as free_port:
        free_port.bind(("127.0.0.1", 0))
        port = free_port.getsockname()[1]
    nodes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run"),
                *("--nnodes", "2", "--nproc_per_node", "1", "--node_rank", str(node)),
                *("--master_addr", "127.0.0.1", "--master_port", str(port)),
                *(str(ROOT / "tests" / "integration" / "node.py"), str(tmp_path)),
            ],
            env=os.environ | {"PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in (0, 1)
    ]
    outputs = [node.communicate(timeout=1800)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert [(rank["world"], rank["node"]) for rank in ranks] == [(2, 0), (2, 1)]
    for key, value in ranks[0]["teacher"].items():
        assert value.equal(ranks[1]["teacher"][key]), key
    # Two steps with two images on each of two nodes are one pass over eight images.
    first, second = (rank["images"] for rank in ranks)
    for step in range(0, 20, 4):
        assert len({*first[step : step + 4], *second[step : step + 4]}) == 8
