"""The worker runs user code; standard library only, CPython 3.6 and newer."""
