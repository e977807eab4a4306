"""Digests: of a sealed checkpoint by its own index, without libhdf5, and of any other HDF5 file by /holdfast/digests."""

from __future__ import annotations

import hmac
import mmap
import os
import struct
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Union

import h5py
import numpy as np

from ._read import dtype_of, identity, opened, raw, walk

TRAILER, RECORD, INDEX_BLOCK = 192, 96, 65536
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 2, 8: 4, 9: 8, 10: 2, 11: 2, 12: 4, 13: 8, 14: 8, 15: 16, 16: 1, 17: 1, 18: 1}


class IntegrityError(Exception):
    """The file is not as it was saved. The message names the file, the tensor, and what to do."""


class Verified(NamedTuple):
    """What `verify` found in order."""

    sealed: bool  # every byte of the file was verified; else the tensors that have a digest were
    verified: List[str]
    without_digest: List[str]


Digest = Callable[[Any], bytes]


def digest_with(key: Optional[bytes]) -> Digest:
    if key is not None:
        secret = key
        return lambda part: hmac.digest(secret, bytes(part), "sha256")[:16]
    import xxhash  # only who verifies needs it

    return lambda part: bytes(xxhash.xxh3_128_digest(part))


def root(digests: Sequence[bytes], digest: Digest) -> bytes:
    return digests[0] if len(digests) == 1 else digest(b"".join(digests))


def in_blocks(content: Any, block: int, digest: Digest, begin: int = 0, end: Optional[int] = None) -> List[bytes]:
    end = len(content) if end is None else end
    return [digest(content[i:min(i + block, end)]) for i in range(begin, end, block)]


def verify(file: Union[str, "os.PathLike[str]"], key: Optional[bytes] = None) -> Verified:
    """Compares every digest of a checkpoint with the content; `key` is that of a file sealed with one. Raises IntegrityError.
    Needs the module xxhash where there is no key. A sealed file is read without libhdf5. One that was rewritten by another
    program is verified by the digests in /holdfast, and the result says which tensors have none."""
    path = os.fspath(file)
    with open(path, "rb") as f:
        size = f.seek(0, os.SEEK_END)
        if size < TRAILER:
            raise IntegrityError(f"{path}: expected a checkpoint, found a file of {size} bytes")
        with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[-TRAILER:-TRAILER + 8] == b"HOLDFAST":
                return verify_sealed(path, data, key)
    if key is not None:
        raise IntegrityError(f"{path}: expected a seal made with the key, found none")
    return verify_unsealed(path)


def verify_sealed(path: str, data: mmap.mmap, key: Optional[bytes]) -> Verified:
    def require(holds: bool, what: str) -> None:
        if not holds:
            raise IntegrityError(f"{path}: {what}; the file is damaged: take an older checkpoint")

    trailer = data[-TRAILER:]
    import xxhash

    require(bytes(xxhash.xxh3_128_digest(trailer[:176])) == trailer[176:], "the trailer is damaged")
    version, _, end, index_offset, block, entries, extents, blocks, names = struct.unpack_from("<II7Q", trailer, 8)
    if version not in (1, 2):
        raise IntegrityError(f"{path}: of format version {version}, expected at most 2; a newer holdfast reads it")
    if (version == 2) != (key is not None):
        raise IntegrityError(f"{path}: {'was sealed with a key, which alone can verify it' if key is None else 'was sealed without a key'}")
    digest = digest_with(key)
    if key is not None and digest(trailer[:128]) != trailer[128:144]:
        raise IntegrityError(f"{path}: the seal was not made with this key")
    index_digest, metadata_digest = trailer[88:104], trailer[104:120]
    size = RECORD * entries + 8 * extents + 16 * blocks + names
    require(end <= index_offset and block >= INDEX_BLOCK, "the trailer is no holdfast's")
    require(index_offset + size + (size + INDEX_BLOCK - 1) // INDEX_BLOCK * 16 + TRAILER == len(data), "it was truncated or spliced")
    index = data[index_offset:index_offset + size]
    require(root(in_blocks(index, INDEX_BLOCK, digest), digest) == index_digest, "the index is damaged")

    texts = index[size - names:]
    used, verified = [], []
    for i in range(entries):
        name, length, kind, dtype, rank, offset, count, expected, first, _ = struct.unpack_from("<QIBBHQQ16sQQ", index, RECORD * i)
        if kind != 0:
            continue
        tensor = texts[name:name + length].decode(errors="replace")
        shape = struct.unpack_from(f"<{rank}q", index, RECORD * entries + 8 * first)
        require(dtype in SIZES and count == int(np.prod(shape, dtype=object)) * SIZES[dtype] and offset + count <= index_offset, f"/{tensor}: its entry is damaged")
        require(root(in_blocks(data, block, digest, offset, offset + count), digest) == expected, f"/{tensor}: its {count} bytes are not those that were saved")
        if count:
            used.append((offset, offset + count))
        verified.append("/" + tensor)

    # What belongs to no tensor, in one piece: libhdf5's metadata and what lies between.
    rest, at = bytearray(), 0
    for begin, stop in sorted(used):
        rest += data[at:begin]
        at = stop
    rest += data[at:index_offset]
    require(digest(bytes(rest)) == metadata_digest, "the HDF5 metadata is damaged")
    return Verified(True, verified, [])


def content_of(dataset: h5py.Dataset) -> bytes:
    """Elements in C order and little-endian, as digests are of them."""
    name = dtype_of(dataset)
    if name in ("string", "bfloat16") or dataset.dtype.kind in "bOV":
        content = raw(dataset)
        return content[..., ::-1].tobytes() if name == "bfloat16" and dataset.id.get_type().get_order() == h5py.h5t.ORDER_BE else content.tobytes()
    content = np.asarray(dataset[()])
    return content.astype(content.dtype.newbyteorder("<"), copy=False).tobytes()


def verify_unsealed(path: str) -> Verified:
    digest = digest_with(None)
    with opened(path) as f:
        own = f.get("holdfast")
        stored: Dict[Any, bytes] = {}
        block = 1 << 20
        if isinstance(own, h5py.Group) and "digests" in own and own.attrs.get("digest") in (b"xxh3-128", "xxh3-128"):
            block = int(own.attrs["digest_block"])
            for line in raw(own["digests"]).tobytes().rstrip(b"\0").decode().splitlines():
                tensor = f.get("/" + line[34:])
                if not isinstance(tensor, h5py.Dataset):
                    raise IntegrityError(f"{path}: /{line[34:]}: was saved, and is not there")
                stored[identity(tensor)] = bytes.fromhex(line[:32])
        verified, without = [], []
        for parts, dataset in walk(f):
            name = "/" + "/".join(parts)
            if parts[0] == "holdfast" or dataset.shape is None:
                continue
            expected = stored.get(identity(dataset))
            if expected is None:
                without.append(name)
                continue
            content = content_of(dataset)
            found = [root(in_blocks(content, block, digest), digest)]
            if dtype_of(dataset) == "string" and not content.strip(b"\0") and len(content) == dataset.size:
                found.append(digest(b""))  # text of width 0, which HDF5 has not
            if expected not in found:
                raise IntegrityError(f"{path}: {name}: its content is not what was saved; it was changed since, or the file is damaged")
            verified.append(name)
    return Verified(False, sorted(verified), sorted(without))
