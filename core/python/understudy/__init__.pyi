"""What understudy knows about a storage node: nothing in here changes one.

Every function looks at the node that it runs on, and needs root; below the folder that the
environment variable UNDERSTUDY_ROOT names instead, for tests, it needs the files alone.
Each takes up to 20 seconds where disks do not answer. `node` is the node's name in the
cluster: where it is not given, the one that the cluster has told the agent since the boot,
or else the host's.
"""

from os import PathLike
from pathlib import Path
from typing import Literal, final

class Error(Exception):
    """What failed, as the agent says it in one line."""

    kind: Literal["configuration", "node", "failed"]
    """configuration: wrong on every node alike. node: this one lacks something. failed:
    it went wrong this time."""
    step: str
    """What was being done, as a short phrase."""
    causes: list[str]
    """At least one; the first is what to read first."""
    path: str | None
    """The file, directory or device of the first cause, where it has one."""
    advice: str
    """What can be done; empty where the causes say it."""

@final
class Wwn:
    """A World Wide Name: 64 bits, as a number with int(), with colons with str()."""

    def __new__(cls, text: str) -> Wwn:
        """Reads any common spelling: colons, dashes, 0x, naa., plain hex.

        Raises Error (configuration) where it is none, with the agent's words."""
    def __int__(self) -> int: ...
    def __hash__(self) -> int: ...
    def __lt__(self, value: Wwn, /) -> bool: ...
    def __le__(self, value: Wwn, /) -> bool: ...
    def __gt__(self, value: Wwn, /) -> bool: ...
    def __ge__(self, value: Wwn, /) -> bool: ...

@final
class Group:
    """A takeover group as configured."""

    def __new__(cls, name: str, **parameters: str | list[str]) -> Group:
        """Reads the parameters of ocf:understudy:vport; a list is its words.

        Raises Error (configuration) with everything that is wrong."""
    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> dict[str, str]: ...

@final
class Finding:
    """What was looked at, and how it is."""

    @property
    def what(self) -> str:
        """In a word or two."""
    @property
    def verdict(self) -> Literal["good", "doubtful", "bad"]:
        """doubtful: a takeover would succeed all the same. bad: it would fail."""
    @property
    def found(self) -> str: ...
    @property
    def advice(self) -> str:
        """What to do; empty where nothing is to be done."""

@final
class Step:
    """A step of a plan."""

    @property
    def title(self) -> str: ...
    @property
    def operations(self) -> list[str]:
        """What it does in the kernel, a line each."""

@final
class Holder:
    """Who holds a disk's reservation."""

    @property
    def key(self) -> str:
        """0x and 16 digits; zeros for the types that all registrants hold."""
    @property
    def kind(self) -> int:
        """The type, as SPC-4 numbers it; 5 is Write Exclusive, Registrants Only."""

@final
class Reservation:
    """The registered keys and the reservation of a disk."""

    @property
    def keys(self) -> list[str]:
        """One for each registered path: a key stands once for each."""
    @property
    def holder(self) -> Holder | None:
        """None where nobody has reserved the disk."""
    @property
    def host_key(self) -> str | None:
        """The key under this node's own NVMe Host ID, zeros for none; None for SCSI."""
    def owned_by_node(self, node: str) -> bool:
        """Whether that node, and no other, owns the disk as understudy owns disks."""

@final
class PhysicalPort:
    @property
    def host(self) -> str:
        """The kernel's name: host2."""
    @property
    def wwpn(self) -> Wwn: ...
    @property
    def state(self) -> str:
        """Online when it is logged in to a fabric, Dark when it is turned off; otherwise
        the kernel's word, such as Linkdown."""
    @property
    def fabric(self) -> Wwn | None: ...
    @property
    def vports_in_use(self) -> int: ...
    @property
    def vports_free(self) -> int: ...
    @property
    def driver(self) -> str:
        """fcoe, qla2xxx."""

@final
class Physical:
    @property
    def port(self) -> PhysicalPort: ...
    @property
    def speed(self) -> str:
        """As the kernel prints it: 10 Gbit."""

@final
class Session:
    """An initiator that may log in to a port."""

    @property
    def initiator(self) -> Wwn: ...
    @property
    def state(self) -> str:
        """Online while it is logged in; absent when the port has never met it."""

@final
class Port:
    """A virtual port."""

    @property
    def wwpn(self) -> Wwn: ...
    @property
    def state(self) -> str:
        """Active when it is logged in; absent when the kernel has none."""
    @property
    def host(self) -> str:
        """The physical port that carries it: host2."""
    @property
    def fcid(self) -> str | None: ...
    @property
    def sessions(self) -> list[Session]: ...

@final
class Lun:
    @property
    def lun(self) -> int: ...
    @property
    def device(self) -> str:
        """The disk, by its name in the configuration."""
    @property
    def node(self) -> Path:
        """Its device node here: /dev/sdb."""
    @property
    def bytes(self) -> int | None:
        """None where the disk has gone."""
    @property
    def service(self) -> Literal["serving", "quiesced", "absent"]: ...
    @property
    def owner(
        self,
    ) -> Literal["this-node", "another", "nobody", "not-reserved", "unknown"]: ...
    @property
    def key(self) -> str | None:
        """The key that holds the disk's reservation."""

@final
class Took:
    """A phase of a takeover that is over."""

    @property
    def phase(self) -> str: ...
    @property
    def ms(self) -> int:
        """Milliseconds."""

@final
class Served:
    """A group that this node serves, or has begun to."""

    @property
    def group(self) -> str:
        """The Pacemaker resource."""
    @property
    def role(self) -> Literal["native", "guest"]: ...
    @property
    def since(self) -> int:
        """When its takeover began, in seconds since 1970."""
    @property
    def wwnn(self) -> Wwn: ...
    @property
    def ports(self) -> list[Port]: ...
    @property
    def luns(self) -> list[Lun]: ...
    @property
    def took(self) -> list[Took]: ...
    @property
    def faults(self) -> list[str]:
        """What is wrong with it; empty where it is healthy."""

@final
class Status:
    """A node."""

    @property
    def node(self) -> str: ...
    @property
    def physical_ports(self) -> list[Physical]: ...
    @property
    def groups(self) -> list[Served]: ...
    @property
    def healthy(self) -> bool:
        """Whether every port is Online and every group served as a whole."""

def status(node: str | None = None) -> Status:
    """What this node serves.

    Raises Error where something is there and cannot be read."""

def check(group: Group, node: str | None = None) -> list[Finding]:
    """Whether a takeover would succeed here, now: as far as the node itself knows. What
    only the cluster knows, `understudy check` adds."""

def plan(
    group: Group, action: Literal["start", "stop"], node: str | None = None
) -> list[Step]:
    """The steps of a start or a stop here, now; none of them is done.

    Raises Error with what would have it refused."""

def reservation(device: str | PathLike[str]) -> Reservation:
    """What a disk says of its reservation.

    Raises Error where it does not answer, or knows no reservations."""

def key_of(node: str) -> str:
    """The key under which a node of this node's cluster owns disks."""
