"""`mooring doctor`: what this machine can and cannot do, and what would make it able.

`machine` is the edge to the operating system; the other modules look at one area each and return `Check`s.
"""
