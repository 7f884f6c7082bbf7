"""Which PyPI distribution a conda package is.

`conda_names.json` holds the names that differ according to `conda-pypi` (see docs/decisions/conda-names.md);
the tables here are our own: packages that file lacks, and packages that are no Python.
"""

from __future__ import annotations

import functools
import json
import re
from importlib import resources

from packaging.utils import canonicalize_name

_OWN: dict[str, str] = {
    "cpuonly": "",
    "faiss": "faiss-cpu",
    "keras-gpu": "keras",
    "opencv": "opencv-python-headless",
    "opencv-python": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "py-xgboost-mutex": "",
    "psycopg2": "psycopg2-binary",
    "pyarrow-core": "pyarrow",
    "python-flatbuffers": "flatbuffers",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "pytorch-mutex": "",
    "pytorch-cuda": "",
    "tensorflow-base": "tensorflow",
    "tensorflow-cpu": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "torchvision-cpu": "torchvision",
    "torchaudio-cpu": "torchaudio",
    "xgboost-cpu": "xgboost",
    "yaml": "",
    "pyqt": "pyqt5",
    "libtorch": "",
    "libtensorflow": "",
    "libxgboost": "",
    "libpython": "",
    "libopencv": "",
}
"""Conda name to PyPI name; an empty name: nothing to install from PyPI."""

_NOT_PYTHON = re.compile(
    r"""(?x)
    nodefaults | _.* | r | r-.* | m2w64-.* | vs\d+.* | vc | msvc.* | ucrt
    | cudatoolkit.* | cuda | cuda-.* | cudnn | nccl | cutensor | magma-.* | tensorrt
    | mkl | mkl-include | mkl-devel | mkl-service | blas | libblas | blas-devel | openblas | lapack
    | intel-openmp | llvm-openmp
    | openmpi.* | mpich.* | mpi | ucx | libgcc.* | libstdcxx.* | libgfortran.* | libgomp | libcxx.*
    | libllvm.*
    | gcc.* | gxx.* | gfortran.* | clang.* | binutils.* | sysroot.* | ld-impl-.* | kernel-headers.*
    | compilers | c-compiler | cxx-compiler | fortran-compiler | cmake | make | ninja-base
    | pkg-config | autoconf | automake
    | ca-certificates | openssl | libssl.* | sqlite | libsqlite | zlib | libzlib | xz | bzip2 | lz4-c
    | zstd-static | snappy
    | tk | readline | ncurses | libffi | libuuid | libnsl | libxcrypt | icu | expat | libexpat | gmp
    | mpfr | mpc
    | libpng | jpeg | libjpeg.* | libtiff | freetype | libwebp.* | giflib | lcms2 | libdeflate
    | openjpeg | lerc | x264 | ffmpeg
    | hdf5 | libhdf5 | libnetcdf | geos | proj | libgdal.* | libspatialindex | libiconv | libxml2
    | libxslt | libcurl | curl | krb5
    | libevent | libsodium | zeromq | libprotobuf | protobuf-c | libabseil | grpc-cpp | libgrpc
    | arrow-cpp | libarrow.* | parquet-cpp
    | boost-cpp | libboost.* | re2 | gflags | glog | thrift-cpp | libthrift | aws-c-.* | aws-sdk-cpp
    | c-ares | nghttp2 | libnghttp2
    | unixodbc | msodbcsql\d* | freetds | postgresql | libpq | mysql-connector-c | mariadb-connector-c
    | graphviz | git | git-lfs | wget-cli | bash | perl | nodejs | openjdk | maven | go | rust | julia
    | pandoc | tesseract | poppler
    | conda | conda-.* | mamba | libmamba.* | libarchive | libsolv | python-abi | python-gil | tzcode
    | libgl.* | libglib | glib
    | qt | qt-main | qt5?-.* | xorg-.* | fontconfig | cairo | pango | harfbuzz | pixman | font-.*
    | fonts-.* | dejavu-.*
    """
)


@functools.cache
def _vendored() -> dict[str, str]:
    text = resources.files(__package__).joinpath("conda_names.json").read_text(encoding="utf-8")
    names: dict[str, str] = json.loads(text)["names"]
    return names


def pypi_name(conda_name: str) -> str | None:
    """The PyPI name of a conda package; None when it is no Python package.

    A name in no table is taken to be the same on PyPI; the resolver finds out if it is not.
    """
    name = canonicalize_name(conda_name)
    if name in _OWN:
        return _OWN[name] or None
    if _NOT_PYTHON.fullmatch(name) or conda_name.startswith("_"):
        return None
    return _vendored().get(name, name)
