"""What PyYAML and libfyaml read from documents, compared with what we read.

Input (a file): for each document its bytes and our events, each behind a 32-bit big-endian length; events are
lines as in the official YAML test suite (`+MAP`, `-MAP`, `+SEQ`, `-SEQ`, `=VAL text`).
Output: one JSON object a line for each disagreement, and a last one with the number of documents.

PyYAML is an independent pure Python reader of YAML 1.1; libfyaml is called as a library, since one process
for each of twenty thousand documents would take minutes. Written apart from the parser it checks.
"""

import ctypes
import json
import struct
import sys

import yaml

ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def value(text):
    return "=VAL " + text.translate(ESCAPES)


def pyyaml(document):
    names = {
        yaml.MappingStartEvent: "+MAP",
        yaml.MappingEndEvent: "-MAP",
        yaml.SequenceStartEvent: "+SEQ",
        yaml.SequenceEndEvent: "-SEQ",
    }
    lines = []
    documents = 0
    for event in yaml.parse(document, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.ScalarEvent):
            lines.append(value(event.value))
            if event.anchor or event.tag:
                lines.append("property")
        elif isinstance(event, yaml.AliasEvent):
            lines.append("alias")
        elif type(event) in names:
            lines.append(names[type(event)])
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                lines.append("property")
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
    if documents != 1:
        lines.append("%d documents" % documents)
    return lines


class ParseConfiguration(ctypes.Structure):
    _fields_ = [
        ("search_path", ctypes.c_char_p),
        ("flags", ctypes.c_uint),
        ("userdata", ctypes.c_void_p),
        ("diag", ctypes.c_void_p),
    ]


class LibFYAML:
    QUIET = 1 << 0
    NAMES = {5: "+MAP", 6: "-MAP", 7: "+SEQ", 8: "-SEQ"}
    SCALAR = 9
    ALIAS = 10
    DOCUMENT_START = 3

    def __init__(self):
        lib = ctypes.CDLL("libfyaml.so.0")
        lib.fy_parser_create.restype = ctypes.c_void_p
        lib.fy_parser_create.argtypes = [ctypes.c_void_p]
        lib.fy_parser_destroy.argtypes = [ctypes.c_void_p]
        lib.fy_parser_set_string.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        lib.fy_parser_parse.restype = ctypes.c_void_p
        lib.fy_parser_parse.argtypes = [ctypes.c_void_p]
        lib.fy_parser_event_free.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        lib.fy_parser_get_stream_error.restype = ctypes.c_bool
        lib.fy_parser_get_stream_error.argtypes = [ctypes.c_void_p]
        lib.fy_event_get_token.restype = ctypes.c_void_p
        lib.fy_event_get_token.argtypes = [ctypes.c_void_p]
        lib.fy_event_get_anchor_token.restype = ctypes.c_void_p
        lib.fy_event_get_anchor_token.argtypes = [ctypes.c_void_p]
        lib.fy_event_get_tag_token.restype = ctypes.c_void_p
        lib.fy_event_get_tag_token.argtypes = [ctypes.c_void_p]
        lib.fy_token_get_text.restype = ctypes.c_void_p
        lib.fy_token_get_text.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)]
        lib.fy_library_version.restype = ctypes.c_char_p
        self.lib = lib
        self.configuration = ParseConfiguration(None, self.QUIET, None, None)

    def __call__(self, document):
        lib = self.lib
        parser = lib.fy_parser_create(ctypes.byref(self.configuration))
        lines = []
        documents = 0
        try:
            if lib.fy_parser_set_string(parser, document, len(document)) != 0:
                raise ValueError("set_string")
            length = ctypes.c_size_t()
            while True:
                event = lib.fy_parser_parse(parser)
                if not event:
                    break
                kind = ctypes.cast(event, ctypes.POINTER(ctypes.c_int))[0]
                if kind == self.SCALAR:
                    text = lib.fy_token_get_text(lib.fy_event_get_token(event), ctypes.byref(length))
                    lines.append(value(ctypes.string_at(text, length.value).decode() if text else ""))
                elif kind in self.NAMES:
                    lines.append(self.NAMES[kind])
                elif kind == self.ALIAS:
                    lines.append("alias")
                elif kind == self.DOCUMENT_START:
                    documents += 1
                if kind in (5, 7, 9) and (
                    lib.fy_event_get_anchor_token(event) or lib.fy_event_get_tag_token(event)
                ):
                    lines.append("property")
                lib.fy_parser_event_free(parser, event)
            if lib.fy_parser_get_stream_error(parser):
                raise ValueError("libfyaml refuses the document")
        finally:
            lib.fy_parser_destroy(parser)
        if documents != 1:
            lines.append("%d documents" % documents)
        return lines


def main():
    oracles = {"pyyaml": pyyaml, "libfyaml": LibFYAML()}
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    offset = count = 0

    def part():
        nonlocal offset
        (length,) = struct.unpack_from(">I", data, offset)
        offset += 4 + length
        return data[offset - length : offset]

    while offset < len(data):
        document = part()
        ours = part().decode().split("\n")
        for name, read in oracles.items():
            try:
                theirs = read(document)
            except Exception as error:  # Whatever a reader raises is a refusal; the test shows it.
                theirs = ["refused: %s" % str(error).replace("\n", " ")]
            if theirs != ours:
                print(json.dumps({"index": count, "oracle": name, "events": theirs}))
        count += 1
    versions = "PyYAML %s, libfyaml %s" % (
        yaml.__version__,
        oracles["libfyaml"].lib.fy_library_version().decode(),
    )
    print(json.dumps({"documents": count, "versions": versions}))


main()
