"""What holds for large objects: readers, writers, files in and files out."""

import io
import os
from pathlib import Path

import pytest

from vault._async.vault.facade import AsyncVault
from vault.errors import AlreadyExistsError, NotFoundError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import checksum
from vault.testing.store.objects import every_size, payload, raises_refusal
from vault.testing.vault.harness import VaultHarness, read


class Moved:
    """What a transfer says of itself, added up."""

    size: int | None = None
    value = 0

    def set_size(self, size: int | None, /) -> None:
        self.size = size

    def relative_update(self, inc: int = 1, /) -> None:
        self.value += inc


class VaultFileConformance(VaultHarness):
    """open, open_writer, upload_file, download_file."""

    @pytest.fixture
    def blobs(self, unit: str) -> str:
        return f"{unit}.bytes"

    @every_size
    async def test_what_is_written_is_read(self, vault: AsyncVault, blobs: str, size: int) -> None:
        data = payload(size)
        async with await vault.open_writer(blobs, name="name", tags={"a": "1"}) as writer:
            for start in range(0, size, 300_007):
                await writer.write(data[start : start + 300_007])
        assert (await read(vault, blobs, "name")).data == data
        info = await vault.stat(blobs, writer.data_id)
        assert info is not None
        assert (info.size, info.checksum, info.datatype, dict(info.tags)) == (size, checksum(data), "bytes", {"a": "1"})
        async with await vault.open(blobs, writer.data_id) as reader:
            assert await reader.read() == data
            assert await reader.read() == b""

    async def test_a_reader_seeks(self, vault: AsyncVault, blobs: str) -> None:
        data = payload(2 * BLOCK_SIZE + 1000)
        data_id = await vault.upload_file(blobs, io.BytesIO(data))
        async with await vault.open(blobs, data_id) as reader:
            assert reader.size == len(data)
            for offset, length in [
                (0, 10),
                (BLOCK_SIZE - 5, 10),
                (2 * BLOCK_SIZE + 990, 100),
                (5, BLOCK_SIZE + 5),
                (len(data), 5),
                (BLOCK_SIZE, 1),
            ]:
                assert reader.seek(offset) == reader.tell() == offset
                assert await reader.read(length) == data[offset : offset + length]
            assert reader.seek(-10, io.SEEK_END) == len(data) - 10
            assert await reader.read() == data[-10:]
            reader.seek(100)
            reader.seek(-50, io.SEEK_CUR)
            buffer = bytearray(BLOCK_SIZE)
            assert await reader.readinto(buffer) == BLOCK_SIZE
            assert buffer == data[50 : BLOCK_SIZE + 50]

    async def test_a_reader_finishes_the_generation_it_opened(self, vault: AsyncVault, blobs: str) -> None:
        old, new = payload(3 * BLOCK_SIZE, 1), payload(3 * BLOCK_SIZE, 2)
        async with await vault.open_writer(blobs, name="name") as writer:
            await writer.write(old)
        async with await vault.open(blobs, "name") as reader:
            assert await reader.read(10) == old[:10]
            async with await vault.open(blobs, "name") as same:
                assert await same.read() == old
            assert await reader.read() == old[10:]
        ticket = await vault.load(blobs, "name")
        assert ticket is not None
        async with ticket:
            ticket.get_ref().data = new
        async with await vault.open(blobs, "name") as reader:
            assert await reader.read() == new

    async def test_an_object_exists_when_its_writer_closes(self, vault: AsyncVault, blobs: str) -> None:
        async with await vault.open_writer(blobs, name="name") as writer:
            await writer.write(payload(2 * BLOCK_SIZE))
            assert not await vault.exists(blobs, "name")
        assert await vault.find(blobs, "name") == writer.data_id

    async def test_a_writer_whose_block_raises_leaves_nothing(self, vault: AsyncVault, blobs: str) -> None:
        async def fail() -> None:
            async with await vault.open_writer(blobs, name="name") as writer:
                await writer.write(payload(2 * BLOCK_SIZE))
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert not await vault.exists(blobs, "name")
        assert [info async for info in vault.list(blobs)] == []

    async def test_a_name_is_taken_once(self, vault: AsyncVault, blobs: str) -> None:
        await vault.upload_file(blobs, io.BytesIO(b"first"), name="name")

        async def write() -> None:
            async with await vault.open_writer(blobs, name="name") as writer:
                await writer.write(b"second")

        with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
            await write()
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
            await vault.upload_file(blobs, io.BytesIO(b"third"), name="name")
        assert (await read(vault, blobs, "name")).data == b"first"

    @every_size
    async def test_a_file_goes_in_and_out(self, vault: AsyncVault, blobs: str, size: int, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(payload(size))
        inward, outward = Moved(), Moved()
        data_id = await vault.upload_file(blobs, tmp_path / "in", name="file", tags={"a": "1"}, progress=inward)
        info = await vault.download_file(blobs, "file", tmp_path / "out", progress=outward)
        assert (tmp_path / "out").read_bytes() == payload(size)
        assert (info.data_id, info.size) == (data_id, size)
        assert (inward.size, inward.value, outward.size, outward.value) == (size,) * 4
        assert _names(tmp_path) == ["in", "out"], "nothing else is left behind"

    async def test_a_download_replaces_a_file_whole_or_not_at_all(
        self, vault: AsyncVault, blobs: str, tmp_path: Path
    ) -> None:
        target = tmp_path / "out"
        target.write_bytes(b"old")
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", "name"):
            await vault.download_file(blobs, "name", target)
        assert target.read_bytes() == b"old"
        await vault.upload_file(blobs, io.BytesIO(payload(BLOCK_SIZE + 1)), name="name")
        await vault.download_file(blobs, "name", target)
        assert target.read_bytes() == payload(BLOCK_SIZE + 1)

    async def test_a_download_follows_links_keeps_modes_and_means_its_path_where_it_began(
        self, vault: AsyncVault, blobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "out").write_bytes(b"old")
        (tmp_path / "out").chmod(0o600)
        (tmp_path / "link").symlink_to("out")
        monkeypatch.chdir(tmp_path)
        await vault.upload_file(blobs, io.BytesIO(payload(BLOCK_SIZE + 1)), name="name")
        await vault.download_file(blobs, "name", "link", progress=_Leaving(Path("/")))
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "out").read_bytes() == payload(BLOCK_SIZE + 1)
        assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o600
        assert _names(tmp_path) == ["link", "out"]

    async def test_files_that_are_not_there_leave_nothing(self, vault: AsyncVault, blobs: str, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            await vault.upload_file(blobs, tmp_path / "nothing", name="name")
        assert not await vault.exists(blobs, "name")
        await vault.upload_file(blobs, io.BytesIO(b"data"), name="name")
        with pytest.raises(FileNotFoundError):
            await vault.download_file(blobs, "name", tmp_path / "no folder" / "out")

    async def test_a_download_into_an_open_file_starts_where_it_stands(self, vault: AsyncVault, blobs: str) -> None:
        await vault.upload_file(blobs, io.BytesIO(b"data"), name="name")
        target = io.BytesIO()
        target.write(b"head ")
        await vault.download_file(blobs, "name", target)
        assert target.getvalue() == b"head data"


class _Leaving:
    """A progress callback during which the process goes elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def set_size(self, _size: int | None, /) -> None:
        os.chdir(self._folder)

    def relative_update(self, _inc: int = 1, /) -> None:
        os.chdir(self._folder)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
