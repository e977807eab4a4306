"""A reader of sealed checkpoints written from docs/format.md alone: no HDF5, no holdfast.

    format_reader.py FILE     lists the entries and verifies every digest
"""

import dataclasses
import hmac
import mmap
import struct
import sys

from xxhash import xxh3_128_digest

DTYPES = {1: ("bool", 1), 2: ("int8", 1), 3: ("int16", 2), 4: ("int32", 4), 5: ("int64", 8), 6: ("uint8", 1), 7: ("uint16", 2),
          8: ("uint32", 4), 9: ("uint64", 8), 10: ("float16", 2), 11: ("bfloat16", 2), 12: ("float32", 4), 13: ("float64", 8),
          14: ("complex64", 8), 15: ("complex128", 16), 16: ("float8_e4m3fn", 1), 17: ("float8_e5m2", 1), 18: ("string", 1)}
KINDS = ("tensor", "group", "alias", "absent")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
TRAILER, RECORD, INDEX_BLOCK = 192, 96, 65536


class Refused(Exception):
    """The file is not a whole checkpoint of a version that this reader knows."""


def require(holds, why):
    if not holds:
        raise Refused(why)


@dataclasses.dataclass
class Entry:
    kind: str
    dtype: str = ""
    shape: tuple = ()
    offset: int = 0
    content: memoryview = b""
    digest: bytes = b""
    place: tuple = (0, 0)
    target: str = ""


class Checkpoint:
    """The checks are those of "How to read it", in its order."""

    def __init__(self, content, key=None):
        self.data = memoryview(content)
        self.digest = (lambda part: hmac.digest(key, bytes(part), "sha256")[:16]) if key else xxh3_128_digest
        require(self.data[:8] == SIGNATURE, "not HDF5")
        require(len(self.data) >= TRAILER, "unsealed: too short")
        trailer = self.data[-TRAILER:]
        require(trailer[:8] == b"HOLDFAST", "unsealed")
        require(xxh3_128_digest(trailer[:176]) == trailer[176:], "the trailer is damaged")
        self.version, size = struct.unpack_from("<II", trailer, 8)
        require(self.version == (2 if key else 1), f"version {self.version}")
        require(size == TRAILER, f"a trailer of {size} bytes")
        self.end, self.index_offset, self.block, entries, extents, blocks, names = struct.unpack_from("<7Q", trailer, 16)
        self.step, self.metric, self.index_digest, self.metadata_digest = struct.unpack_from("<qd16s16s", trailer, 72)
        if key:
            require(struct.unpack_from("<I", trailer, 120)[0] == 1, "another kind of key")
            require(self.digest(trailer[:128]) == trailer[128:144], "another key")
        else:
            require(trailer[120:144] == bytes(24), "reserved bytes in use")  # of a writer of this version
        require(trailer[144:176] == bytes(32), "reserved bytes in use")
        require(self.index_offset == (self.end + 63) // 64 * 64, "index offset")

        index_bytes = RECORD * entries + 8 * extents + 16 * blocks + names
        digests_bytes = (index_bytes + INDEX_BLOCK - 1) // INDEX_BLOCK * 16
        require(self.end <= self.index_offset and self.block >= INDEX_BLOCK, "sizes")
        require(self.index_offset + index_bytes + digests_bytes + TRAILER == len(self.data), "truncated or spliced")

        index = self.data[self.index_offset:self.index_offset + index_bytes]
        digests = self.block_digests(index, INDEX_BLOCK)
        require(b"".join(digests) == self.data[self.index_offset + index_bytes:-TRAILER], "digests of the index")
        require(self.root(digests) == self.index_digest, "digest of the index")

        self.extents = index[RECORD * entries:][:8 * extents]
        self.blocks = index[RECORD * entries + 8 * extents:][:16 * blocks]
        self.names = index[index_bytes - names:]
        self.entries = {}
        last = b""
        for i in range(entries):
            path, entry = self.record(index[RECORD * i:RECORD * (i + 1)])
            require(i == 0 or last < path.encode(), f"{path}: out of order")
            last = path.encode()
            self.entries[path] = entry
        self.check_overlap()
        self.check_targets()

    def block_digests(self, content, block):
        return [self.digest(content[i:i + block]) for i in range(0, len(content), block)]

    def root(self, digests):
        return digests[0] if len(digests) == 1 else self.digest(b"".join(digests))

    def text(self, start, size):
        require(start + size <= len(self.names), "a name outside the names")
        name = bytes(self.names[start:start + size])
        require(b"\0" not in name, "NUL in a name")
        return name.decode()

    def record(self, record):
        (name, length, kind, dtype, rank, offset, count, digest, extent, first_block, place, device, target,
         target_length) = struct.unpack_from("<QIBBHQQ16sQQiiQI", record)
        path = self.text(name, length)
        require(kind < len(KINDS), f"{path}: kind {kind}")
        require(record[84:] == bytes(12), f"{path}: reserved bytes in use")
        entry = Entry(KINDS[kind])
        if entry.kind != "tensor":
            require(record[13:72] == bytes(59), f"{path}: fields of a tensor in use")
        if entry.kind != "alias":
            require(record[72:84] == bytes(12), f"{path}: fields of an alias in use")
        if entry.kind == "alias":
            entry.target = self.text(target, target_length)
        if entry.kind == "tensor":
            require(dtype in DTYPES and rank <= 32, f"{path}: dtype {dtype}, rank {rank}")
            entry.dtype, element = DTYPES[dtype]
            require(8 * (extent + rank) <= len(self.extents), f"{path}: extents outside their table")
            entry.shape = struct.unpack_from(f"<{rank}q", self.extents, 8 * extent) if rank else ()
            require(entry.dtype != "string" or rank >= 1, f"{path}: a string without a width")
            product = element
            for n in entry.shape:
                require(n >= 0, f"{path}: a negative extent")
                product *= n
            require(count == product, f"{path}: {count} bytes for {entry.dtype}{list(entry.shape)}")
            require(offset + count <= self.end, f"{path}: outside the file")
            require(count or not offset, f"{path}: nothing, at {offset}")
            n = (count + self.block - 1) // self.block
            require(n <= 1 or 16 * (first_block + n) <= len(self.blocks), f"{path}: digests outside their table")
            entry.offset, entry.digest, entry.place = offset, digest, (place, device)
            entry.content = self.data[offset:offset + count]
            entry.stored_blocks = bytes(self.blocks[16 * first_block:16 * (first_block + n)]) if n > 1 else digest * n
        return path, entry

    def used(self):
        return sorted((e.offset, e.offset + len(e.content)) for e in self.entries.values() if e.kind == "tensor" and e.content)

    def check_overlap(self):
        end = 0
        for start, stop in self.used():
            require(end <= start, "two tensors overlap")
            end = stop

    def check_targets(self):
        for path, entry in self.entries.items():
            if entry.kind != "alias":
                continue
            target = self.entries.get(entry.target)
            below = any(other.startswith(entry.target + "/") for other in self.entries)
            require(target.kind != "alias" if target else below, f"{path}: target {entry.target}")
            require(not (path + "/").startswith(entry.target + "/"), f"{path}: below its target")

    def verify(self):
        """The metadata, then every tensor."""
        metadata, at = [], 0
        for start, stop in self.used():
            metadata.append(bytes(self.data[at:start]))
            at = stop
        metadata.append(bytes(self.data[at:self.index_offset]))
        require(self.digest(b"".join(metadata)) == self.metadata_digest, "the metadata is damaged")
        for path, entry in self.entries.items():
            if entry.kind == "tensor":
                digests = self.block_digests(entry.content, self.block)
                require(b"".join(digests) == entry.stored_blocks, f"{path}: digests of blocks")
                require(self.root(digests) == entry.digest, f"{path}: damaged")

    def all_names(self):
        """{path: entry}, with what lies below the target of an alias, aliases too, under the alias's name as well."""
        found = {}

        def add(path, entry):
            if entry.kind != "alias":
                found[path] = entry
                return
            for other, named in self.entries.items():
                if (other + "/").startswith(entry.target + "/"):
                    add(path + other[len(entry.target):], named)

        for path, entry in self.entries.items():
            add(path, entry)
        return found


def opened(path, key=None):
    with open(path, "rb") as file:
        require(file.read(1), "an empty file")
        return Checkpoint(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), key)


def main():
    file = opened(sys.argv[1])
    file.verify()
    print(f"version {file.version}, step {file.step}, metric {file.metric}, {len(file.entries)} entries, verified")
    for path, entry in file.entries.items():
        what = f"{entry.dtype}{list(entry.shape)}" if entry.kind == "tensor" else f"= /{entry.target}" if entry.target else entry.kind
        print(f"{entry.digest.hex() or '-':32}  {entry.offset:>12}  /{path}  {what}")


if __name__ == "__main__":
    main()
