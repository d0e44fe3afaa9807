"""Downloads of published weights, without long retries where there is no network."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from huggingface_hub import constants

SERVER = constants.ENDPOINT
"""Address that timm and segmentation-models-pytorch download weights from."""


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Let downloads use the cache alone if the server does not answer.

    Without this, each download tries six times, which takes half a minute.
    """
    offline = constants.HF_HUB_OFFLINE
    if not offline:
        try:
            urlopen(Request(SERVER, method="HEAD"), timeout=10).close()
        except HTTPError:
            pass  # an answer
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
