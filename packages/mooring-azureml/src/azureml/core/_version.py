"""The version scripts see: the API of azureml-core that is followed, and the Mooring that follows it."""

from __future__ import annotations

import mooring

# A local version (PEP 440): `packaging` sorts it as 1.61.0, so that scripts which compare versions go
# the right way.
VERSION = f"1.61.0+mooring{mooring.__version__}"
