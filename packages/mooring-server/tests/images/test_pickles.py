"""Pickles are read, never loaded: what writers write is understood, and whatever else comes does no harm."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline

from mooring_server.images.pickles import machine, memo, source
from mooring_server.images.pickles.scan import Pickle, refused, scan


class Attack:
    """Writes a file if anybody loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def look(tmp_path: Path, data: bytes, name: str = "model.pkl") -> Pickle | None:
    file = tmp_path / "file"
    file.write_bytes(data)
    return scan(name, file)


def found(tmp_path: Path, data: bytes, name: str = "model.pkl") -> Pickle:
    pickled = look(tmp_path, data, name)
    assert pickled is not None
    return pickled


@pytest.fixture(scope="module")
def model() -> Any:
    texts = ["red apple", "green apple", "red cherry", "blue plum"]
    fitted = make_pipeline(CountVectorizer(), RandomForestClassifier(3, random_state=0)).fit(
        texts, [0, 0, 1, 1]
    )
    # Objects and structures in arrays: joblib puts pickles between the pickle's opcodes.
    fitted.notes = np.array([{"a": 1}, "b", None], dtype=object)
    fitted.empty = np.zeros((0, 3))
    fitted.scalar = np.array(1.5)
    return fitted


@pytest.mark.parametrize("protocol", range(6))
def test_scikit_learn_in_every_protocol(tmp_path: Path, model: Any, protocol: int) -> None:
    pickled = found(tmp_path, pickle.dumps(model, protocol))
    assert pickled.versions == {"scikit-learn": (sklearn.__version__,)}
    assert pickled.protocol == (protocol if protocol > 1 else None)
    assert "sklearn.tree._tree.Tree" in pickled.imports
    assert (pickled.dangerous, pickled.incomplete) == ({}, "")


@pytest.mark.parametrize("protocol", range(6))
def test_joblib_in_every_protocol(tmp_path: Path, model: Any, protocol: int) -> None:
    joblib.dump([model, Attack(tmp_path / "x")], tmp_path / "model.joblib", protocol=protocol)
    pickled = scan("model.joblib", tmp_path / "model.joblib")
    assert pickled is not None
    assert pickled.incomplete == ""
    assert pickled.versions == {"scikit-learn": (sklearn.__version__,)}
    # It comes after all arrays: their bytes were passed over to the last one.
    assert list(pickled.dangerous) == ["posix.mkdir"]


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_joblib_compressed(tmp_path: Path, model: Any, compression: str) -> None:
    joblib.dump(model, tmp_path / "m", compress=(compression, 3))
    pickled = scan("m.joblib", tmp_path / "m")
    assert pickled is not None
    assert (pickled.compression, pickled.incomplete) == (compression, "")
    assert pickled.versions == {"scikit-learn": (sklearn.__version__,)}


def test_joblib_of_before_0_10(tmp_path: Path) -> None:
    data = pickle.dumps({"a": 1, "_sklearn_version": "0.17.1"}, 2)
    head = b"ZF" + f"{len(data):#x}".encode().ljust(19)
    for blank in (b"", b" "):
        pickled = found(tmp_path, head + blank + zlib.compress(data))
        assert (pickled.compression, pickled.incomplete) == ("zlib", "")
        assert pickled.versions == {"scikit-learn": ("0.17.1",)}


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    assert "lz4" in found(tmp_path, b"\x04\x22\x4d\x18....").incomplete
    assert "damaged" in found(tmp_path, zlib.compress(b"\x80\x04" * 50)[:9] + b"\0" * 50).incomplete
    assert "ends in the middle" in found(tmp_path, pickle.dumps(["a" * 300])[:-20]).incomplete


def test_archives_and_arrays(tmp_path: Path, model: Any) -> None:
    torch = io.BytesIO()
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"pytorch-lightning_version": "2.1.0"}))
        archive.writestr("archive/data/0", b"\0" * 1000)
        archive.writestr("archive/hidden", pickle.dumps(Attack(tmp_path / "x")))
    pickled = found(tmp_path, torch.getvalue(), "model.pt")
    assert pickled.versions == {"pytorch-lightning": ("2.1.0",)}
    assert list(pickled.dangerous) == ["posix.mkdir"]
    np.savez(tmp_path / "a.npz", numbers=np.zeros(3), objects=np.array([model], dtype=object))
    pickled = scan("a.npz", tmp_path / "a.npz")
    assert pickled is not None
    assert "scikit-learn" in pickled.versions
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert scan("a.npy", tmp_path / "a.npy") is None


def test_several_pickles_in_a_file(tmp_path: Path) -> None:
    data = pickle.dumps(1) + pickle.dumps(Attack(tmp_path / "x"))
    assert list(found(tmp_path, data, "weights.bin").dangerous) == ["posix.mkdir"]


ATTACKS = {
    "protocol 0": b"cos\nsystem\n(S'true'\ntR.",
    "an escaped name": b"S'o\\x73'\n\x8c\x06system\x93(S'true'\ntR.",
    "Python 2's name": b"c__builtin__\neval\n(S'1'\ntR.",
    "Python 2's name in another protocol's pickle": pickle.dumps(1, 4) + b"\x80\x02ccommands\ngetoutput\n.",
    "through another module": b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93.",
    "from the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93.",
    "a computed name": b"\x80\x04\x8c\x02os]\x93.",
    "an extension": b"\x80\x04\x82\x01.",
    "an instance": b"(ios\nsystem\n.",
    "a class's insides": b"\x80\x04\x8c\x08builtins\x8c\x15object.__subclasses__\x93.",
    "before the damage": b"cos\nsystem\n(S'true'\ntR\xff\xff",
    "a computed name, called before the damage": b"]]\x93(S'true'\ntR\xff\xff",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", ["model.pkl", "README"])
def test_attacks(tmp_path: Path, attack: str, name: str) -> None:
    pickled = found(tmp_path, ATTACKS[attack], name)
    assert pickled.dangerous, pickled
    names = {item[1] for item in refused([pickled], ())}
    assert names == set(pickled.dangerous)
    assert refused([pickled], names) == []


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"(", b"cost;name\n", b"# a readme\n", b"<xml/>", b"\x89HDF\r\n", b"I1\n."]
)
def test_what_is_no_pickle(tmp_path: Path, text: bytes) -> None:
    assert look(tmp_path, text, "file.txt") is None


@pytest.mark.parametrize(
    "start", [b"\x82\x07", b"\x83\x07\x07", b"\x84|\xd5\x1c\xa3", b"c" + b"x" * 2000 + b"\n\n"]
)
def test_numbers_that_begin_like_an_import_are_no_pickle(tmp_path: Path, start: bytes) -> None:
    assert look(tmp_path, start + random.Random(7).randbytes(100_000), "weights.bin") is None


def test_honest_pickles_are_not_dangerous(tmp_path: Path) -> None:
    import collections
    import datetime as dt
    import decimal
    import functools
    import pathlib
    import uuid

    values = [
        *(dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), decimal.Decimal(1), uuid.UUID(int=1)),
        *(
            collections.OrderedDict(a=1),
            collections.Counter("a"),
            functools.partial(np.log1p),
            pathlib.PurePath("a"),
        ),
        *(
            np.trace,
            len,
            {1},
            frozenset([1]),
            bytearray(b"a"),
            1j,
            range(3),
            slice(1),
            Ellipsis,
            np.float64(1),
        ),
        *(np.random.default_rng(0), np.ma.array([1]), np.datetime64("2020-01-01")),
    ]
    for protocol in range(6):
        pickled = found(tmp_path, pickle.dumps(values, protocol))
        assert (pickled.dangerous, pickled.incomplete) == ({}, "")


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_INFLATED", 3 << 20)
    joblib.dump(np.zeros(1 << 20), tmp_path / "bomb", compress=9)
    pickled = scan("bomb.joblib", tmp_path / "bomb")
    assert pickled is not None
    assert "what unpacks from it" in pickled.incomplete
    monkeypatch.setattr(machine, "MOST_OPCODES", 50)
    assert "first 51 steps" in found(tmp_path, pickle.dumps(list(range(100)))).incomplete


def test_names_come_back_from_the_memo_after_a_large_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memo, "_MOST_OBJECTS", 10)
    words = {f"word{number}": (number, float(number)) for number in range(2000)}
    data = pickle.dumps([words, Attack(tmp_path / "x"), Attack(tmp_path / "y"), os.rmdir, "posix"], 4)
    pickled = found(tmp_path, data)
    assert (pickled.incomplete, list(pickled.dangerous)) == ("", ["posix.mkdir", "posix.rmdir"])


PIECES = st.sampled_from(
    [
        *(
            b"\x80\x04",
            b"\x8c\x02os",
            b"\x94",
            b"\x93",
            b"(",
            b"t",
            b"R",
            b"b",
            b"0",
            b"2",
            b"}",
            b"]",
            b"u",
            b"s",
            b"h\x00",
        ),
        *(
            b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n",
            b"cnumpy\ndtype\n",
            b"X\xff\xff\xff\x7f",
            b"\x8e" + b"\xff" * 8,
        ),
        *(
            b"j\xff\xff\xff\xff",
            b"r\xff\xff\xff\x7f",
            b"p99999999999\n",
            b"L9" + b"9" * 50 + b"L\n",
            b"\x8b\xff\xff\xff\xff",
        ),
        *(b"\x95" + struct.pack("<Q", 2**63), b"V\\uZZZZ\n", b"S'\n", b"i\n\n", b"."),
    ]
)


@settings(deadline=None, max_examples=100)
@given(st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join))
@example(b"\x80\x04(((((u")
@example(b"ZF0x5")
@example(b"\x93NUMPY\x02\x00\xff\xff\xff\xff")
@example(b"PK\x03\x04")
@example(b"BZh91AY&SY")
@example(b"\x5d\x00\x00\xff\xff\xff\xff" + b"\xff" * 20)
def test_whatever_comes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Anything is answered, and the answer is of the documented form."""
    pickled = look(tmp_path_factory.getbasetemp(), data)
    if pickled is not None:
        assert pickled.to_json()["path"] == "model.pkl"
        assert all(name.isascii() and name.isprintable() for name in pickled.imports)


@settings(deadline=None, max_examples=40)
@given(st.integers(0), st.integers(0, 255))
def test_one_wrong_byte(tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
    data = bytearray(pickle.dumps({"_sklearn_version": "1.0", "a": [np.zeros(3), {1: "b"}]}, 4))
    data[place % len(data)] = value
    pickled = look(tmp_path_factory.getbasetemp(), bytes(data))
    assert pickled is None or pickled.to_json()["path"] == "model.pkl"
