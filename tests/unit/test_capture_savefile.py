"""Captures by name: files, folders, standard input, compressed files."""

import gzip
import io
import os
import subprocess
import sys
import tracemalloc

import pytest
import zstandard

from sensor._native.doors_savefile import records, totals
from sensor.capture.savefile import find_savefiles, open_savefile, open_savefiles
from sensor.errors import DamagedCapture, InputMissing, NotACapture, UsageError
from tests.traffic.savefiles import FRAME, interface, pcap_header, pcap_record, section

GOOD = pcap_header() + pcap_record(FRAME, 5) * 3


def write(path, octets: bytes) -> str:
    path.write_bytes(octets)
    return str(path)


def test_a_folder_is_its_captures_sorted(tmp_path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "empty").mkdir()
    write(tmp_path / "z.pcap", GOOD)
    write(tmp_path / "b" / "a", section() + interface())
    write(tmp_path / "a.cap", pcap_header(">"))
    write(tmp_path / "notes.txt", b"hello")
    write(tmp_path / "none", b"")
    write(tmp_path / "packed.pcap.gz", gzip.compress(GOOD))
    os.mkfifo(tmp_path / "pipe")
    skipped: dict[str, str] = {}
    found = find_savefiles([str(tmp_path)], lambda path, why: skipped.update({path: why}))
    assert [os.path.relpath(each.path, tmp_path) for each in found] == ["a.cap", "b/a", "z.pcap"]
    assert [each.size for each in found] == [24, 48, len(GOOD)]
    assert {os.path.relpath(p, tmp_path): why.split(":")[0] for p, why in skipped.items()} == {
        "notes.txt": "not a capture",
        "none": "not a capture",
        "packed.pcap.gz": "compressed",
        "pipe": "not a regular file",
    }
    with pytest.raises(InputMissing, match="no capture in this folder") as e:
        find_savefiles([str(tmp_path / "empty")])
    assert e.value.exit_code == 66


def test_the_order_given_is_kept(tmp_path) -> None:
    a, b = write(tmp_path / "a", GOOD), write(tmp_path / "b", GOOD + GOOD[24:])
    assert [totals(s)[0] for s in open_savefiles([b, a])] == [6, 3]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_by_name(tmp_path, suffix: str) -> None:
    pack = gzip.compress if suffix == "gz" else zstandard.ZstdCompressor().compress
    octets = pcap_header() + b"".join(
        pcap_record(os.urandom(900) + bytes(600), i) for i in range(2000)
    )
    # Two members, as concatenated and parallel compressors write them.
    packed = pack(octets[:100_001]) + pack(octets[100_001:])
    plain = open_savefile(write(tmp_path / "a.pcap", octets))
    with open_savefile(write(tmp_path / f"a.pcap.{suffix}", packed)) as source:
        assert list(records(source)) == list(records(plain))
        assert source.position == len(octets)
        assert source.input_position == source.size == len(packed)

    with pytest.raises(NotACapture, match=f"compressed capture: name it .{suffix} or decompress"):
        open_savefile(write(tmp_path / "b.pcap", packed))

    with open_savefile(write(tmp_path / f"cut.{suffix}", packed[: len(packed) // 2])) as cut:
        with pytest.raises(DamagedCapture, match=r"cannot read on: .*[Cc]ompressed file ended"):
            totals(cut)
        assert 0 < cut.packets_read < 2000

    with pytest.raises(InputMissing):
        open_savefile(write(tmp_path / f"plain.{suffix}", octets))
    with pytest.raises(NotACapture, match="empty"):
        open_savefile(write(tmp_path / f"nothing.{suffix}", pack(b"")))


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_bomb_needs_no_memory(tmp_path, suffix: str) -> None:
    header = section() + interface()
    packed = io.BytesIO()
    opener = gzip.open if suffix == "gz" else zstandard.open
    # 200 MiB of one skipped block after another.
    block = (0xBAD).to_bytes(4, "little") + (1 << 20).to_bytes(4, "little")
    block += bytes((1 << 20) - 12) + (1 << 20).to_bytes(4, "little")
    with opener(packed, "wb") as out:
        out.write(header)
        for _ in range(200):
            out.write(block)
    path = write(tmp_path / f"bomb.{suffix}", packed.getvalue())
    assert os.path.getsize(path) < 1 << 20
    tracemalloc.start()
    with open_savefile(path) as source:
        assert totals(source) == (0, 0, 0)
        assert source.position == len(header) + 200 * len(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20


def test_zstd_names_its_mend(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError, match=r"a\.zst: .*pip install zstandard$"):
        open_savefile(write(tmp_path / "a.zst", b""))


def test_missing_and_unreadable(tmp_path) -> None:
    missing = str(tmp_path / "new\nline")
    for use in (open_savefile, lambda path: find_savefiles([path])):
        with pytest.raises(InputMissing) as e:
            use(missing)
        assert "\n" not in str(e.value)
        assert "new\\nline: " in str(e.value)
    with pytest.raises(InputMissing, match="directory"):
        open_savefile(str(tmp_path))


def test_standard_input() -> None:
    code = (
        "from sensor.capture.savefile import open_savefile\n"
        "from sensor._native.doors_savefile import totals\n"
        "s = open_savefile('-')\n"
        "print(*totals(s), s.size, s.position)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=GOOD, capture_output=True, check=True)
    assert done.stdout.split() == [b"3", b"162", b"162", b"None", str(len(GOOD)).encode()]
