"""For all tests: what CI runs is the same each time; on a contributor's machine properties go on exploring."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
