//! The lab's plan: the guests, their addresses, and the links between them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a guest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A storage node: serves disks over Fibre Channel.
    Array,
    /// A member of the cluster that only votes: it has neither ports nor disks.
    Vote,
    /// The initiator, and the shelf that holds the disks.
    Host,
    /// The guest of the bench, which is alone and has disks in its memory.
    Bench,
    /// A second shelf, whose disks are NVMe namespaces.
    NvmeShelf,
}

/// What a guest boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Debian, from a disk of the guest's own. It takes commands.
    Debian {
        /// The folder with the files of the guest's role.
        files: &'static str,
    },
    /// An NVMe target, from its initramfs alone. It takes no commands.
    NvmeTarget,
}

impl Role {
    /// Returns what a guest of this role boots.
    #[must_use]
    pub fn system(self) -> System {
        match self {
            Self::Array | Self::Vote => System::Debian { files: "array" },
            Self::Host => System::Debian { files: "host" },
            Self::Bench => System::Debian { files: "bench" },
            Self::NvmeShelf => System::NvmeTarget,
        }
    }
}

/// A Fibre Channel fabric of the lab, which has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The fabric in which every guest has a port from its boot on.
    A,
    /// The fabric in which guests get a port only for the scenarios that need two
    /// fabrics.
    B,
}

/// Both fabrics.
pub const SIDES: [Side; 2] = [Side::A, Side::B];

impl Side {
    /// Returns the name of the fabric's process, which is also in the names of its socket
    /// and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "fabric",
            Self::B => "fabric-b",
        }
    }

    /// Returns the fabric's World Wide Name.
    #[must_use]
    pub fn wwn(self) -> &'static str {
        match self {
            Self::A => "10:00:0e:fc:00:00:00:01",
            Self::B => "10:00:0e:fc:00:00:00:02",
        }
    }

    /// Returns the interface of every guest that is wired to the fabric.
    #[must_use]
    pub fn interface(self) -> &'static str {
        match self {
            Self::A => "fc0",
            Self::B => "fc1",
        }
    }
}

/// What a network interface is wired to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// A fabric, by a socket of the guest's own.
    Fabric(Side),
    /// The hub of the cluster's network.
    Cluster,
    /// A storage network. This end listens, so its guest is started first.
    StorageServer {
        /// The name of the link.
        link: &'static str,
    },
    /// A storage network. This end connects.
    StorageClient {
        /// The name of the link.
        link: &'static str,
    },
    /// The machine's loopback, where the BMCs listen. No route leads further.
    Management,
}

/// A network interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name inside the guest, and QEMU's id for it.
    pub name: &'static str,
    /// The interface's hardware address.
    pub mac: String,
    /// The interface's address and prefix length, if it speaks IP.
    pub address: Option<&'static str>,
    /// The largest packet of the interface, in bytes.
    pub mtu: u16,
    /// What the other end is.
    pub wire: Wire,
}

/// The QLogic HBA of a guest, which is emulated and wired to the second fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hba {
    /// The guest's number, from which the HBA has its names.
    guest: u8,
}

impl Hba {
    /// The fabric that HBAs are wired to.
    pub const SIDE: Side = Side::B;

    /// Returns the port name of the HBA's physical port.
    #[must_use]
    pub fn wwpn(self) -> String {
        format!("21:00:00:24:ff:75:00:{:02x}", self.guest)
    }

    /// Returns the node name of the HBA's physical port.
    #[must_use]
    pub fn wwnn(self) -> String {
        self.wwpn().replacen("21", "20", 1)
    }
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The guest's name, also as a cluster node.
    pub name: &'static str,
    /// What the guest is for.
    pub role: Role,
    /// The guest's memory, in mebibytes.
    pub mebibytes: u32,
    /// By how much the guest's priority is lowered, once it is up.
    pub nice: i32,
    /// The guest's network interfaces.
    pub interfaces: Vec<Interface>,
    /// The guest's emulated HBA, if it has one. Nothing loads its driver at boot.
    pub hba: Option<Hba>,
}

/// The storage nodes' names.
pub const ARRAYS: [&str; 2] = ["array-a", "array-b"];
/// The name of the third storage node, which most labs leave off.
pub const SPARE: &str = "array-c";
/// The name of the node that only votes, which most labs leave off.
pub const VOTE: &str = "vote";
/// The names of all storage nodes, the third included.
pub const STORAGE_NODES: [&str; 3] = [ARRAYS[0], ARRAYS[1], SPARE];
/// The names of all guests that can be members of the cluster, in the order of their node
/// ids.
pub const MEMBERS: [&str; 4] = [ARRAYS[0], ARRAYS[1], SPARE, VOTE];
/// The initiator's name.
pub const HOST: &str = "host";
/// The name of the bench's guest.
pub const BENCH: &str = "bench";
/// The name of the shelf with the NVMe namespaces, which most labs leave off.
pub const NVME_SHELF: &str = "nvme-shelf";
/// The NVMe shelf's address on the cluster's network, with its prefix length.
pub const NVME_ADDRESS: &str = "10.77.1.5/24";
/// The address by which a guest reaches the machine's loopback.
pub const MACHINE: &str = "10.0.2.2";

/// Returns a member's number: its node id, and the last part of its addresses.
#[must_use]
pub fn member_id(member: &str) -> usize {
    MEMBERS.iter().position(|name| *name == member).map_or(0, |place| place + 1)
}

/// Returns a member's address on the cluster's own network.
#[must_use]
pub fn cluster_address(member: &str) -> String {
    format!("10.77.1.{}", member_id(member))
}

/// Returns the shelf's address on a storage node's storage network.
#[must_use]
pub fn shelf_address(array: &str) -> String {
    format!("10.77.{}.1", 1 + member_id(array))
}

/// Returns the shelf's second address on a storage node's storage network. By it the node
/// has a second path to some disks.
#[must_use]
pub fn second_shelf_address(array: &str) -> String {
    format!("{}29", shelf_address(array))
}

/// Returns the name of the shelf's interface on a storage node's storage network.
#[must_use]
pub fn shelf_interface(array: &str) -> String {
    format!("storage-{}", array.trim_start_matches("array-"))
}

/// Returns the iSCSI name of a guest.
#[must_use]
pub fn iscsi_name(guest: &str) -> String {
    format!("iqn.2026-01.lab.understudy:{guest}")
}

fn port(guest: u8, side: Side) -> Interface {
    interface(guest, side.interface(), None, 9000, Wire::Fabric(side))
}

fn interface(
    guest: u8,
    name: &'static str,
    address: Option<&'static str>,
    mtu: u16,
    wire: Wire,
) -> Interface {
    let kind = match wire {
        Wire::Fabric(Side::A) => 1,
        Wire::Cluster => 2,
        Wire::StorageServer { link: "storage-b" } => 4,
        Wire::StorageServer { link: "storage-c" } => 7,
        Wire::StorageServer { .. } | Wire::StorageClient { .. } => 3,
        Wire::Management => 5,
        Wire::Fabric(Side::B) => 6,
    };
    let mac = format!("52:54:00:75:{guest:02x}:{kind:02x}");
    Interface { name, mac, address, mtu, wire }
}

/// Returns the plan of the bench, which has one guest.
#[must_use]
pub fn bench() -> Spec {
    Spec {
        name: BENCH,
        role: Role::Bench,
        mebibytes: 2048,
        nice: 0,
        interfaces: SIDES.map(|side| port(4, side)).to_vec(),
        hba: Some(Hba { guest: 4 }),
    }
}

/// Returns the plans of the three guests, in the order in which they are started.
#[must_use]
pub fn guests() -> Vec<Spec> {
    let server = |name, link, address| {
        interface(3, name, Some(address), 9000, Wire::StorageServer { link })
    };
    vec![
        Spec {
            name: HOST,
            role: Role::Host,
            mebibytes: 1024,
            nice: 5,
            interfaces: vec![
                port(3, Side::A),
                port(3, Side::B),
                server("storage-a", "storage-a", "10.77.2.1/24"),
                server("storage-b", "storage-b", "10.77.3.1/24"),
                server("storage-c", "storage-c", "10.77.4.1/24"),
            ],
            hba: Some(Hba { guest: 3 }),
        },
        array(1, ARRAYS[0], "storage-a", "10.77.1.1/24", "10.77.2.2/24"),
        array(2, ARRAYS[1], "storage-b", "10.77.1.2/24", "10.77.3.2/24"),
    ]
}

/// Returns the plans of the guests that are off until a scenario needs them.
#[must_use]
pub fn reserve() -> Vec<Spec> {
    // They boot while others serve.
    let nice = 5;
    let spare = array(5, SPARE, "storage-c", "10.77.1.3/24", "10.77.4.2/24");
    let vote = Spec {
        name: VOTE,
        role: Role::Vote,
        mebibytes: 640,
        nice,
        interfaces: member(6, "10.77.1.4/24"),
        hba: None,
    };
    let nvme_shelf = Spec {
        name: NVME_SHELF,
        role: Role::NvmeShelf,
        mebibytes: 512,
        nice,
        interfaces: vec![interface(
            7,
            "cluster0",
            Some(NVME_ADDRESS),
            1500,
            Wire::Cluster,
        )],
        hba: None,
    };
    vec![Spec { nice, ..spare }, vote, nvme_shelf]
}

/// Returns the plan of a storage node.
fn array(
    number: u8,
    name: &'static str,
    link: &'static str,
    cluster: &'static str,
    storage: &'static str,
) -> Spec {
    let wire = Wire::StorageClient { link };
    let mut interfaces = vec![port(number, Side::A), port(number, Side::B)];
    interfaces.push(interface(number, "storage0", Some(storage), 9000, wire));
    interfaces.extend(member(number, cluster));
    let hba = Some(Hba { guest: number });
    Spec { name, role: Role::Array, mebibytes: 1024, nice: 0, interfaces, hba }
}

/// Returns the interfaces that every member of the cluster has: one on the cluster's
/// network, and one by which it reaches the BMCs.
fn member(number: u8, cluster: &'static str) -> Vec<Interface> {
    vec![
        interface(number, "cluster0", Some(cluster), 1500, Wire::Cluster),
        interface(number, "mgmt0", Some("10.0.2.15/24"), 1500, Wire::Management),
    ]
}

impl Spec {
    /// Returns the table by which the initramfs gives the interfaces their names and
    /// addresses.
    #[must_use]
    pub fn interface_table(&self) -> String {
        let mut table = String::new();
        for nic in &self.interfaces {
            let address = nic.address.unwrap_or("-");
            let _ = writeln!(table, "{} {} {address} {}", nic.mac, nic.name, nic.mtu);
        }
        table
    }

    /// Returns the guest's links to a fabric: their names there, and their sockets.
    #[must_use]
    pub fn links(&self, side: Side, run: &Path) -> Vec<(String, PathBuf)> {
        let mut links = Vec::new();
        if self.interfaces.iter().any(|nic| nic.wire == Wire::Fabric(side)) {
            links.push((self.name.to_owned(), fabric_socket(run, side, self.name)));
        }
        if self.hba.is_some() && side == Hba::SIDE {
            links.push((format!("{}{HBA}", self.name), hba_socket(run, self.name)));
        }
        links
    }

    /// Returns the port name of the physical port in a fabric, as fcoe makes it from the
    /// hardware address.
    #[must_use]
    pub fn wwpn(&self, side: Side) -> String {
        let fabric = self.interfaces.iter().find(|nic| nic.wire == Wire::Fabric(side));
        let mac = fabric.map_or_else(String::new, |nic| nic.mac.replace(':', ""));
        format!("0x2000{mac}")
    }
}

/// The folders of the running lab's files.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The folder of sockets. Its path is short, as paths of sockets must be.
    pub run: PathBuf,
    /// The folder of disks, and of what the guests share.
    pub state: PathBuf,
    /// The folder of logs.
    pub logs: PathBuf,
}

impl Folders {
    /// Returns the path of a socket.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    /// Returns the path of a guest's disk, which has what the guest changed of the image.
    #[must_use]
    pub fn disk(&self, guest: &str) -> PathBuf {
        self.state.join(format!("{guest}.qcow2"))
    }

    /// Returns the folder that the guests see as /lab.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.state.join("share")
    }

    /// Returns the path of a log.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(name)
    }
}

/// Returns the path of the socket on which a fabric and a guest's port meet.
#[must_use]
pub fn fabric_socket(run: &Path, side: Side, guest: &str) -> PathBuf {
    run.join(format!("{guest}.{}", side.interface()))
}

/// The end of the name that a fabric has for the link of a guest's HBA. It follows the
/// guest's name.
const HBA: &str = "-hba";

/// Returns the guest that a link of a fabric belongs to.
#[must_use]
pub fn owner(link: &str) -> &str {
    link.strip_suffix(HBA).unwrap_or(link)
}

/// Returns the path of the socket on which the second fabric and a guest's HBA meet.
#[must_use]
pub fn hba_socket(run: &Path, guest: &str) -> PathBuf {
    run.join(format!("{guest}.hba0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_hardware_address_twice() {
        let all: Vec<String> = guests()
            .into_iter()
            .chain(reserve())
            .flat_map(|guest| guest.interfaces)
            .map(|nic| nic.mac)
            .collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn a_link_belongs_to_its_guest() {
        let (guest, run) = (&guests()[1], Path::new("/run"));
        let links = guest.links(Side::B, run);
        assert_eq!(links.len(), 2);
        assert!(links.iter().all(|(link, _)| owner(link) == guest.name));
        assert_eq!(guest.links(Side::A, run).len(), 1);
    }

    #[test]
    fn a_physical_port_is_named_after_its_hardware_address() {
        assert_eq!(guests()[1].wwpn(Side::A), "0x2000525400750101");
        assert_eq!(guests()[1].wwpn(Side::B), "0x2000525400750106");
    }
}
