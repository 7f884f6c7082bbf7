"""Reading Dockerfiles: which images they begin with, and the same text with other names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.dockerfiles.dockerfile import Dockerfile

MULTI = """\
# syntax=docker/dockerfile:1
ARG RELEASE=12
ARG PLACE
FROM --platform=linux/amd64 debian:${RELEASE} AS Build
ARG RELEASE=13
RUN apt-get update && \\
    # a comment in the middle
    apt-get install -y make
FROM build as tests
RUN --mount=type=bind,from=tools:1,target=/t make test
FROM ${PLACE:-registry.example.com}/team/base:1
COPY --from=0 /a /a
COPY --from=busybox:1 --chown=1:1 /bin/sh /bin/sh
COPY --from=BUILD /b /b
FROM scratch
COPY --from=2 / /
"""


def test_the_images_it_names() -> None:
    read = Dockerfile(MULTI)
    assert read.images == ("debian:12", "tools:1", "registry.example.com/team/base:1", "busybox:1")
    names = [instruction.name for instruction in read.instructions]
    assert names.count("FROM") == 4
    run = next(each for each in read.instructions if each.name == "RUN")
    assert run.rest == "apt-get update && apt-get install -y make"


def test_other_names_leave_every_line_where_it_was() -> None:
    text = Dockerfile(MULTI).renamed({"debian:12": "id1", "busybox:1": "id2", "tools:1": "id3"})
    changed = [
        (old, new) for old, new in zip(MULTI.splitlines(), text.splitlines(), strict=True) if old != new
    ]
    assert changed == [
        (
            "FROM --platform=linux/amd64 debian:${RELEASE} AS Build",
            "FROM --platform=linux/amd64 id1 AS Build",
        ),
        (
            "RUN --mount=type=bind,from=tools:1,target=/t make test",
            "RUN --mount=type=bind,from=id3,target=/t make test",
        ),
        (
            "FROM ${PLACE:-registry.example.com}/team/base:1",
            "FROM registry.example.com/team/base:1",
        ),
        (
            "COPY --from=busybox:1 --chown=1:1 /bin/sh /bin/sh",
            "COPY --from=id2 --chown=1:1 /bin/sh /bin/sh",
        ),
    ]


def test_what_only_looks_like_an_instruction() -> None:
    text = 'FROM a\nRUN <<EOF\nFROM b\nEOF\nRUN echo "x" \\\n\n  FROM c\n'
    text += 'COPY <<-"ONE" <<TWO /x/\nFROM d\nONE\nFROM e\nTWO\n'
    assert Dockerfile(text).images == ("a",)
    assert Dockerfile("# escape=`\nFROM a\nRUN dir `\n  FROM b\n").images == ("a",)
    assert Dockerfile("from \\\n  a \\\n  AS x\nFROM x\n").renamed({"a": "b"}) == "FROM b AS x\n\n\nFROM x\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("RUN true\n", 1),
        ("", 1),
        ("# only this\n", 1),
        ("ARG A\nFROM ${A}\n", 2),
        ("FROM $A\n", 1),
        ("\nFROM a b c\n", 2),
        ("FROM\n", 1),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Dockerfile(text)
    assert caught.value.code == "DockerfileInvalid"
    assert f"line {line}:" in caught.value.message


@given(st.text(alphabet="FROM ACOPYUN-=fromas\\#\n$:{}<E"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = Dockerfile(text)
    except InvalidRequest as error:
        assert error.code == "DockerfileInvalid"
    else:
        assert Dockerfile(read.renamed({})).images == read.images
