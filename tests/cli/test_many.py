"""Any folder comes back as it was put, and any series of commands on many objects does what it does to a dict."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.folders import files_of, make
from tests.cli.program import UNIT, Inside
from tests.cli.test_put_folder import contents

SETTINGS = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))

parts = st.text("ab.~ üE'\"*", min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
trees = st.dictionaries(st.lists(parts, min_size=1, max_size=3).map("/".join), st.binary(max_size=3), max_size=8)


def possible(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those that a folder can hold: no name is a file and a folder at once."""
    folders = {name[:index] for name in files for index, letter in enumerate(name) if letter == "/"}
    return {name: data for name, data in files.items() if name not in folders}


@SETTINGS
@given(before=trees.map(possible), after=trees.map(possible))
def test_a_folder_comes_back_as_it_was_put_also_after_it_changed(
    before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    with TemporaryDirectory() as place:
        inside = Inside(f"{place}/vault")
        inside.out("put", "-r", make(Path(place) / "in", before), "-u", UNIT)
        shutil.rmtree(Path(place) / "in")
        inside.out("put", "-r", make(Path(place) / "in", after), "-u", UNIT)
        assert contents(inside) == {**before, **after}
        if possible({**before, **after}) == {**before, **after}:
            inside.out("get", "-p", "", f"{place}/out", "-u", UNIT)
            assert files_of(Path(place) / "out") == {**before, **after}


names = st.text("ab/", min_size=1, max_size=4)
prefixes = st.text("ab/", max_size=2)
operations = st.one_of(
    st.tuples(st.just("put"), names, st.binary(max_size=1)),
    st.tuples(st.sampled_from(["mv", "mv -f", "cp"]), prefixes, prefixes),
    st.tuples(st.just("rm"), prefixes.filter(bool), st.just("")),
)


def applied(held: dict[str, bytes], operation: str, one: str, other: str | bytes) -> tuple[dict[str, bytes], bool]:
    """What a dict holds then, and whether all of it could be done."""
    if isinstance(other, bytes):
        return {**held, one: other}, True
    chosen = [name for name in sorted(held) if name.startswith(one)]
    after, whole = dict(held), True
    for name in chosen:
        new = other + name[len(one) :]
        if operation == "rm":
            del after[name]
        elif operation == "cp":
            whole &= new not in held or (new != name and held[new] == held[name] and bool(new))
            if new and new not in held:
                after[new] = held[name]
            whole &= bool(new)
        elif new != name:
            if name not in after or not new or (new in after and operation == "mv"):
                whole = False
                continue
            after[new] = after.pop(name)
    return after, whole


@SETTINGS
@given(st.lists(operations, max_size=12))
def test_commands_on_many_objects_do_what_they_do_to_a_dict(series: list[tuple[str, str, str | bytes]]) -> None:
    with TemporaryDirectory() as place:
        inside = Inside(f"{place}/vault")
        inside.out("put", "-", "-u", "other")  # so that there is a vault
        held: dict[str, bytes] = {}
        for operation, one, other in series:
            command, *options = operation.split()
            if isinstance(other, bytes):
                inside.out("put", "-", "-f", f"--name={one}", "-u", UNIT, data=other)
                done = 0
            else:
                words = ["-p", one, *([] if command == "rm" else ["--", other])]
                done = inside.run(command, *options, "-u", UNIT, *words).returncode
            held, whole = applied(held, operation, one, other)
            assert (done == 0) == whole, (operation, one, other)
            assert contents(inside) == held
