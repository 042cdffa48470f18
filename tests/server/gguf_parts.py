"""Cuts a GGUF file into parts, from the format's specification alone."""
import struct

WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        value, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def skip(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.at += WIDTHS[kind]


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def padded(data):
    return data + b"\0" * (-len(data) % 32)


def cut(data, count):
    """The bytes of `count` files: the first holds the metadata, each a share of the tensors."""
    reader = Reader(data)
    assert reader.number("I") == 0x46554747 and reader.number("I") == 3
    tensors, entries = reader.number("Q"), reader.number("Q")
    start = reader.at
    for _ in range(entries):
        reader.text()
        reader.skip(reader.number("I"))
    metadata = data[start:reader.at]
    infos = []
    for _ in range(tensors):
        name, rank = reader.text(), reader.number("I")
        shape = [reader.number("Q") for _ in range(rank)]
        infos.append((name, shape, reader.number("I"), reader.number("Q")))
    base = reader.at + -reader.at % 32
    ends = sorted({info[3] for info in infos} | {len(data) - base})
    files = []
    for part in range(count):
        mine = infos[tensors * part // count:tensors * (part + 1) // count]
        split = (text("split.no") + struct.pack("<IH", 2, part) + text("split.count") + struct.pack("<IH", 2, count)
                 + text("split.tensors.count") + struct.pack("<Ii", 5, tensors))
        head = struct.pack("<IIQQ", 0x46554747, 3, len(mine), 3 + (entries if part == 0 else 0))
        head += split + (metadata if part == 0 else b"")
        body = b""
        for name, shape, kind, offset in mine:
            head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
            head += struct.pack("<IQ", kind, len(body))
            end = ends[ends.index(offset) + 1]
            body += padded(data[base + offset:base + end])
        files.append(padded(head) + body)
    return files
