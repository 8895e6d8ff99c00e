"""Prints the events of a TensorBoard file as JSON lines: its own reading of the TFRecord frames, its own checksum,
and the field numbers of TensorBoard's documentation through Google's protobuf for Python.

usage: read_events.py FILE
"""
import json
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TYPES = {"double": 1, "float": 2, "int64": 3, "int32": 5, "string": 9, "message": 11, "bytes": 12}
# https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto
MESSAGES = {
    "Event": [("wall_time", 1, "double"), ("step", 2, "int64"), ("file_version", 3, "string"),
              ("summary", 5, "Summary")],
    "Summary": [("value", 1, "[Value]")],
    "Value": [("tag", 1, "string"), ("simple_value", 2, "float"), ("image", 4, "Image"), ("histo", 5, "Histogram")],
    "Image": [("height", 1, "int32"), ("width", 2, "int32"), ("colorspace", 3, "int32"),
              ("encoded_image_string", 4, "bytes")],
    "Histogram": [("min", 1, "double"), ("max", 2, "double"), ("num", 3, "double"), ("sum", 4, "double"),
                  ("sum_squares", 5, "double"), ("bucket_limit", 6, "[double]"), ("bucket", 7, "[double]")],
}


def event_class():
    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="t", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            field = message.field.add(name=field_name, number=number, label=3 if kind[0] == "[" else 1)
            kind = kind.strip("[]")
            field.type = TYPES.get(kind, TYPES["message"])
            if kind in MESSAGES:
                field.type_name = ".t." + kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("t.Event"))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checked(data, stored):
    crc = crc32c(data)
    assert (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF == struct.unpack("<I", stored)[0], "wrong checksum"
    return data


assert crc32c(b"123456789") == 0xE3069283
content = open(sys.argv[1], "rb").read()
Event = event_class()
at = 0
while at < len(content):
    size = struct.unpack("<Q", checked(content[at:at + 8], content[at + 8:at + 12]))[0]
    event = Event.FromString(checked(content[at + 12:at + 12 + size], content[at + 12 + size:at + 16 + size]))
    at += 16 + size
    line = {"wall_time": event.wall_time, "step": event.step, "file_version": event.file_version}
    for value in event.summary.value:
        line.update(tag=value.tag, simple_value=value.simple_value)
        if value.HasField("image"):
            image = value.image
            line["image"] = [image.width, image.height, image.colorspace, image.encoded_image_string.decode("latin1")]
        if value.HasField("histo"):
            histo = value.histo
            line["histo"] = [histo.min, histo.max, histo.num, histo.sum, histo.sum_squares]
            line["limits"], line["counts"] = list(histo.bucket_limit), list(histo.bucket)
    print(json.dumps(line))
