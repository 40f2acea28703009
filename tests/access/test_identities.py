"""The file of identities: what it may say, who may read it, and several who change it at once."""

import contextlib
import os
import stat
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from vault.errors import InvalidArgumentError, NotFoundError, UnavailableError
from vault_server.access.grants import SCOPES, Grant
from vault_server.access.identities import Identities, Identity, Token, certificate_name
from vault_server.access.identity_file import change_identities, check_private, parse_identities, read_identities
from vault_server.access.token_changes import add_token, revoke_tokens
from vault_server.access.tokens import hash_of, id_of, make_token

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
GRANTS = (Grant.parse("docs*:read"),)
HASH = "0" * 64

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # given one
grants = st.builds(
    Grant, st.from_regex(r"[A-Za-z0-9._*-]{1,20}", fullmatch=True), st.frozensets(st.sampled_from(SCOPES), min_size=1)
)
kept = st.builds(
    Token,
    id=st.from_regex("[0-9a-z]{1,32}", fullmatch=True),
    sha256=st.binary(min_size=32, max_size=32),
    created=moments,
    expires=st.none() | moments,
)
certificates = st.from_regex(
    r"dns:[a-z0-9-]{1,20}(\.[a-z]{1,5}){0,2}|spiffe://[!-~]{1,20}|uri:urn:[!-~]{1,20}", fullmatch=True
)


budgets = st.none() | st.fixed_dictionaries({}, optional={"transfers": st.integers(0, 9), "work": st.floats(0.1, 5)})


@st.composite
def identities(draw: st.DrawFn) -> Identities:
    made = []
    seen: set[object] = set()
    for name in draw(st.lists(names, unique=True, max_size=4)):
        ours = [each for each in draw(st.lists(kept, max_size=3)) if not {each.id, each.sha256} & seen]
        ours = list({each.sha256: each for each in {each.id: each for each in ours}.values()}.values())
        certs = [certificate_name(each) for each in draw(st.lists(certificates, max_size=2))]
        known = tuple(each for each in dict.fromkeys(certs) if each not in seen)
        seen.update(known, (each.id for each in ours), (each.sha256 for each in ours))
        given_grants = tuple(draw(st.lists(grants, max_size=3)))
        made.append(
            Identity(name=name, grants=given_grants, certificates=known, tokens=tuple(ours), budget=draw(budgets))
        )
    return Identities(made)


@settings(max_examples=40, deadline=None)
@given(identities())
def test_what_was_written_is_read_again(before: Identities) -> None:
    after = parse_identities(tomli_w.dumps(before.document()).encode())
    assert list(after.values()) == list(before.values())


@given(
    st.text()
    | st.sampled_from(["[[principal]]\n", "principal = []\n"]).flatmap(lambda head: st.text().map(head.__add__))
)
def test_any_text_is_read_or_refused(text: str) -> None:
    found = Identities()
    with contextlib.suppress(InvalidArgumentError):  # and nothing else
        found = parse_identities(text.encode("utf-8", "surrogatepass"))
    assert list(parse_identities(tomli_w.dumps(found.document()).encode()).values()) == list(found.values())


ONE = '[[principal]]\nname = "a"\n'
A_TOKEN = f'[[principal.token]]\nid = "1"\nsha256 = "{HASH}"\ncreated = 2026-11-27T08:00:00Z\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = \nb = 1", "not TOML: Invalid value (at line 1"),
        (ONE + "name = 1\n[x]", "at line 3"),
        ("tokens = 1", "'tokens'; known are principal"),
        ("principal = 1", "principal is written as"),
        ("[[principal]]\nname = 'a/b'", "bad principal 'a/b'"),
        ("[[principal]]\ngrants = []", "principal 1: it has no name"),
        (ONE + "grant = []", "principal 'a': unknown key 'grant'"),
        (ONE + 'grants = "x:read"', "principal 'a': grants is a list of texts"),
        (ONE + 'grants = ["x:fly"]', "principal 'a': bad grant 'x:fly'"),
        (ONE + 'grants = ["x"]', "principal 'a': bad grant 'x'"),
        (ONE + 'certificates = ["cn:bob"]', "principal 'a': bad certificate 'cn:bob'"),
        (ONE + 'certificates = ["CN=bob"]', "its common name is not asked"),
        (ONE + 'certificates = ["dns:*.a", "dns:*.A"]', "certificate 'dns:*.a' is principal 'a''s"),
        (ONE + 'certificates = ["spiffe://a", "uri:spiffe://a"]', "certificate 'uri:spiffe://a' is"),
        (ONE + ONE, "name 'a' is principal 'a''s"),
        (ONE + A_TOKEN + A_TOKEN.replace("0", "1", 1), "token id '1'"),
        (ONE + A_TOKEN + A_TOKEN.replace('"1"', '"2"'), "sha256 is principal 'a''s"),
        (ONE + A_TOKEN.replace(HASH, HASH[1:]), "principal 'a', token 1: bad sha256"),
        (ONE + A_TOKEN.replace('"1"', '"A"'), "principal 'a', token 1: bad id 'A'"),
        (ONE + A_TOKEN.replace("Z", ""), "token 1: created is a time with its zone"),
        (ONE + A_TOKEN + "expires = 2027-01-01", "token 1: expires is a time with its zone"),
        (ONE + A_TOKEN + 'expire = "never"', "token 1: unknown key 'expire'; known are id, sha256, created, expires"),
        (ONE + "budget = 3", "principal 'a': budget is a table"),
        (ONE + "[principal.budget]\nuploads = 3", "principal 'a': unknown in a budget: uploads"),
        (ONE + "[principal.budget]\ntransfers = -3", "principal 'a': "),
        (ONE + "[principal.token]", "token is written as"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_line_or_key(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "identities"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidArgumentError) as caught:
        read_identities(path)
    assert expected in caught.value.message
    assert caught.value.message.startswith(f"{path}: ")
    assert HASH not in caught.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o622])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identities"
    path.write_text("")
    path.chmod(mode)
    for attempt in (lambda: read_identities(path), lambda: change_identities(path, lambda old: (old, None))):
        with pytest.raises(InvalidArgumentError, match=f"mode {mode:04o}"):
            attempt()
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_somebody_elses_file_is_refused_and_roots_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "identities"
    path.write_text("")
    path.chmod(0o600)
    mine = list(path.stat())
    for owner, refused in ((0, False), (os.geteuid(), False), (os.geteuid() + 1, True)):
        status = os.stat_result([*mine[:4], owner, *mine[5:10]])
        if refused:
            with pytest.raises(InvalidArgumentError, match=f"user {owner}"):
                check_private(status)
        else:
            check_private(status)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who looks after others' files")
def test_a_file_that_root_changes_stays_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "identities"
    add(path, "a")
    for each in (path, path.with_name("identities.lock")):
        os.chown(each, 12345, 12345)
    add(path, "b")
    assert [os.stat(each).st_uid for each in tmp_path.iterdir()] == [12345, 12345]  # noqa: PTH116
    assert list(read_identities(path)) == ["a", "b"]


def test_a_fifo_is_no_file_of_identities(tmp_path: Path) -> None:
    path = tmp_path / "identities"
    os.mkfifo(path, 0o600)
    with pytest.raises(InvalidArgumentError, match="no regular file"):
        add(path, "a")


def add(path: Path, name: str) -> str:
    return change_identities(path, lambda old: add_token(old, name, now=NOW, grants=GRANTS))


def add_all(path: Path, added: Sequence[str]) -> list[str]:
    return [add(path, name) for name in added]


def test_of_writers_in_several_processes_nobody_loses_anything_and_readers_see_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "identities"
    add(path, "first")
    wanted = [[f"p{writer}-{number}" for number in range(12)] for writer in range(2)]
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.wait(0.002):
            seen.append(len(read_identities(path)))

    reader = threading.Thread(target=read)
    reader.start()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        made_tokens = [each for some in pool.map(add_all, [path] * 2, wanted) for each in some]
    made = dict(zip((name for some in wanted for name in some), made_tokens, strict=True))
    done.set()
    reader.join()
    found = read_identities(path)
    assert set(found) == {"first", *made}
    assert all(found[name].tokens[0].sha256 == hash_of(token) for name, token in made.items())
    assert seen == sorted(seen)
    assert seen
    assert sorted(each.name for each in tmp_path.iterdir()) == ["identities", "identities.lock"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


def test_a_change_that_fails_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "identities"
    add(path, "a")
    before = path.read_bytes()
    with pytest.raises(NotFoundError):
        change_identities(path, lambda old: revoke_tokens(old, "b"))
    with pytest.raises(OSError, match="nowhere"):
        change_identities(tmp_path / "nowhere" / "identities", lambda old: (old, None))
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["identities", "identities.lock"]


def test_who_waits_for_the_lock_gives_up_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "identities"
    monkeypatch.setattr("vault_server.access.identity_file._PATIENCE", 0.05)

    def change(old: Identities) -> tuple[Identities, None]:
        with pytest.raises(UnavailableError, match=r"identities\.lock"):
            add(path, "inner")
        return old, None

    change_identities(path, change)
    assert list(read_identities(path)) == []


def test_a_links_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "identities"
    link.symlink_to(tmp_path / "real" / "file")
    add(link, "a")
    add(link, "b")
    assert link.is_symlink()
    assert list(read_identities(tmp_path / "real" / "file")) == ["a", "b"]


def test_tokens_differ_and_tell_their_id() -> None:
    made = [make_token() for _ in range(1000)]
    assert len({token for token, _ in made}) == len({token_id for _, token_id in made}) == 1000
    assert all(id_of(token) == token_id for token, token_id in made)
    token = made[0][0]
    for other in (
        "",
        "vt_",
        token[:-1],
        token + "x",
        token + "\n",
        token.upper(),
        token.replace("vt_", "vx_"),
        "vt__" + "x" * 43,
    ):
        assert id_of(other) is None


def test_a_token_shows_in_no_repr(tmp_path: Path) -> None:
    path = tmp_path / "identities"
    token = add(path, "a")
    found = read_identities(path)
    assert token not in path.read_text()
    assert hash_of(token).hex() not in repr(found["a"])
    assert repr(hash_of(token)) not in repr(found["a"])
    assert found["a"].tokens[0].created == NOW
    assert found["a"].tokens[0].expires is None
