"""Base images and the registry with the tools that people use: mmdebstrap, podman, skopeo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import RunningServer, free_port, wait_until

pytestmark = pytest.mark.full

SCORE = """
import json, os

def init():
    if os.environ.get("BREAK"):
        raise RuntimeError("the model is broken")

def run(data):
    return {"sum": sum(json.loads(data)["data"]), "user": os.getuid()}
"""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
