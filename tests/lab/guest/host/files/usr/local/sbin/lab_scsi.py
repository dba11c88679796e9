"""SCSI commands to a disk by its device node (SG_IO, include/scsi/sg.h)."""
import ctypes
import fcntl

SG_IO = 0x2285
FROM_DEVICE, TO_DEVICE, NOTHING = -3, -2, -1
CHECK_CONDITION = 2


class Header(ctypes.Structure):
    """struct sg_io_hdr."""

    _fields_ = [
        ("interface", ctypes.c_int), ("direction", ctypes.c_int),
        ("cdb_length", ctypes.c_ubyte), ("sense_room", ctypes.c_ubyte),
        ("iovecs", ctypes.c_ushort), ("length", ctypes.c_uint),
        ("data", ctypes.c_void_p), ("cdb", ctypes.c_void_p),
        ("sense", ctypes.c_void_p), ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint), ("id", ctypes.c_int), ("user", ctypes.c_void_p),
        ("status", ctypes.c_ubyte), ("masked", ctypes.c_ubyte),
        ("message", ctypes.c_ubyte), ("sense_length", ctypes.c_ubyte),
        ("host", ctypes.c_ushort), ("driver", ctypes.c_ushort),
        ("rest", ctypes.c_int), ("took", ctypes.c_uint), ("info", ctypes.c_uint),
    ]


class Answer:
    """Of a command: the status, that of the host, the data, and the sense data with its
    key and additional code."""

    def __init__(self, header, data, sense):
        self.status, self.host = header.status, header.host
        self.data, self.sense = data.raw[:len(data) - header.rest], sense.raw
        fixed = sense.raw[0] & 0x7f < 0x72
        self.key = sense.raw[2 if fixed else 1] & 15
        self.code = sense.raw[12 if fixed else 2]


def send(file, cdb, out=None, room=0, milliseconds=20_000):
    """Sends a command once, with data or with room for some."""
    direction = TO_DEVICE if out else FROM_DEVICE if room else NOTHING
    data = ctypes.create_string_buffer(out or bytes(room), len(out) if out else room)
    code, sense = ctypes.create_string_buffer(cdb), ctypes.create_string_buffer(32)
    header = Header(
        ord("S"), direction, len(cdb), len(sense), 0, len(data),
        ctypes.addressof(data), ctypes.addressof(code), ctypes.addressof(sense),
        milliseconds,
    )
    fcntl.ioctl(file, SG_IO, header)
    return Answer(header, data, sense)
