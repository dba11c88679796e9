//! Reservation keys: which of them are this node's, and whose the others are.

use std::path::Path;

use nix::errno::Errno;

use crate::digest::fnv128;
use crate::kernel::reservation::{Key, Reservation, WRITE_EXCLUSIVE_REGISTRANTS_ONLY};
use crate::kernel::{Kernel, KernelError, paths};

/// The upper 16 bits of a key made from the node's name alone: "us". The other 48 bits
/// are a digest of the name.
const PLAIN: u64 = 0x7573;
/// The upper 16 bits of a key that has the cluster's word in it: "uS". 16 bits with the
/// word follow, and 32 bits of the digest of the node's name.
const OF_CLUSTER: u64 = 0x7553;

/// The keys under which a node owns disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The key that the node registers from now on.
    pub now: Key,
    /// The key from the node's name alone. The node may have registered it before it knew
    /// its cluster's word, so it counts as its own too.
    pub before: Key,
    pub(super) cluster: Option<u16>,
}

/// The owner of a key, as far as the key itself shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This node.
    Ours,
    /// Another node of this cluster, or any node that did not know its cluster's word.
    Partners,
    /// A node of another cluster.
    OtherClusters,
    /// A fencing program. Its keys have 32 bits at most: fence_scsi makes them so, and
    /// people choose such keys for fence_mpath and multipathd.
    Fencing,
    /// Any other program.
    Strangers,
}

impl Whose {
    /// Returns the owner in words, for messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Ours => "this node's",
            Self::Partners => "another node's",
            Self::OtherClusters => "a node's of another cluster",
            Self::Fencing => "as fence_scsi, fence_mpath and multipathd have it",
            Self::Strangers => "another program's",
        }
    }
}

impl Keys {
    /// Returns the keys of a node of this node's cluster. The cluster's word is read from
    /// the note of [`remember_cluster`].
    ///
    /// # Errors
    /// When the note is there and cannot be read, because it would not be known which
    /// keys are this node's.
    pub fn of(kernel: &dyn Kernel, node: &str) -> Result<Self, KernelError> {
        match kernel.load(Path::new(paths::CLUSTER)) {
            Ok(text) => Ok(Self::new(node, word(&text))),
            Err(error) if error.is(Errno::ENOENT) => Ok(Self::new(node, None)),
            Err(error) => Err(error),
        }
    }

    /// Returns the keys of a node. Without its cluster's word they are made from its name
    /// alone.
    pub fn new(node: &str, cluster: Option<u16>) -> Self {
        let name = fnv128(&[node]) as u64;
        let before = Key(PLAIN << 48 | name & 0xffff_ffff_ffff);
        let with = |word| OF_CLUSTER << 48 | u64::from(word) << 32 | name & 0xffff_ffff;
        let now = cluster.map_or(before, |word| Key(with(word)));
        Self { now, before, cluster }
    }

    /// Returns whether a key is this node's. While the node does not know its cluster's
    /// word, as after a boot, a key with its name and any word counts as its own, because
    /// the node may have registered that key before.
    pub fn are(&self, key: Key) -> bool {
        let by_name = self.cluster.is_none() && key.0 >> 48 == OF_CLUSTER;
        let name = |key: Key| key.0 as u32;
        key == self.now || key == self.before || by_name && name(key) == name(self.before)
    }

    /// Returns whether this node owns a disk: it holds the right kind of reservation, and
    /// no other key is registered.
    pub fn own(&self, disk: &Reservation) -> bool {
        self.hold(disk) && disk.keys.iter().all(|key| self.are(*key))
    }

    /// Returns whether this node holds the right kind of reservation on a disk, no matter
    /// which other keys are registered.
    pub(crate) fn hold(&self, disk: &Reservation) -> bool {
        let kind = WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
        disk.holder.is_some_and(|its| its.kind == kind && self.are(its.key))
    }

    /// Returns whose a key is. A node that does not know its cluster's word counts every
    /// node's key as one of its own cluster.
    pub(crate) fn whose(&self, key: Key) -> Whose {
        let cluster = (key.0 >> 32) as u16;
        match key.0 >> 48 {
            _ if self.are(key) => Whose::Ours,
            PLAIN => Whose::Partners,
            OF_CLUSTER if self.cluster.is_none_or(|word| word == cluster) => {
                Whose::Partners
            }
            OF_CLUSTER => Whose::OtherClusters,
            _ if key.0 >> 32 == 0 => Whose::Fencing,
            _ => Whose::Strangers,
        }
    }
}

/// Parses a cluster's word: four hexadecimal digits.
fn word(text: &str) -> Option<u16> {
    let digits = text.trim();
    let plain = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// Returns whether the cluster's word is noted on this node. A boot removes the note.
pub fn knows_cluster(kernel: &dyn Kernel) -> bool {
    kernel.load(Path::new(paths::CLUSTER)).is_ok_and(|text| word(&text).is_some())
}

/// Notes the cluster's word on this node. From then on the node registers keys with that
/// word. A text that is no such word is ignored.
///
/// # Errors
/// When the note cannot be written.
pub fn remember_cluster(kernel: &dyn Kernel, text: &str) -> Result<(), KernelError> {
    match word(text) {
        Some(word) => kernel.store(Path::new(paths::CLUSTER), &format!("{word:04x}\n")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::reservation::Holder;

    #[test]
    fn a_key_names_its_node_and_its_cluster() {
        let [a, b] = ["array-a", "array-b"].map(|node| Keys::new(node, Some(0x1234)));
        assert_eq!(a.now.0 >> 32, 0x7553_1234);
        assert_eq!(a.before.0 >> 48, 0x7573);
        assert!(a.now != b.now && a.before != b.before);
        let other = Keys::new("array-a", Some(0x1235));
        assert_ne!(a.now, other.now);
        let plain = Keys::new("array-a", None);
        assert_eq!((plain.now, plain.before), (a.before, a.before));
        for (key, whose) in [
            (a.now, Whose::Ours),
            (a.before, Whose::Ours),
            (b.now, Whose::Partners),
            (b.before, Whose::Partners),
            (other.now, Whose::OtherClusters),
            (Key(0x5e2a_0001), Whose::Fencing),
            (Key(0x5e2a_0001_0000_0000), Whose::Strangers),
        ] {
            assert_eq!(a.whose(key), whose, "{key}");
        }
        // After a boot a node no longer knows the word with which it had registered.
        assert_eq!(plain.whose(other.now), Whose::Ours);
        assert_eq!(plain.whose(b.now), Whose::Partners);
    }

    #[test]
    fn a_disk_is_owned_under_either_key() {
        let keys = Keys::new("array-a", Some(1));
        let held = |by, keys: &[Key], kind| Reservation {
            keys: keys.to_vec(),
            holder: Some(Holder { key: by, kind }),
            host_key: None,
        };
        let (now, before, other) = (keys.now, keys.before, Key(9));
        assert!(keys.own(&held(now, &[now, before], 5)));
        assert!(keys.own(&held(before, &[before], 5)));
        assert!(keys.own(&held(now, &[now, now], 5)), "two paths");
        assert!(!keys.own(&held(now, &[now, other], 5)));
        assert!(!keys.own(&held(now, &[now], 1)));
        assert!(keys.hold(&held(now, &[now, other], 5)));
        assert!(!keys.hold(&held(now, &[now], 1)));
        assert!(!keys.hold(&held(other, &[now, other], 5)));
    }

    #[test]
    fn a_word_is_four_digits() {
        assert_eq!(["00ff\n", "0", "wxyz", "12345", ""].map(word)[0], Some(0xff));
        assert!(["0", "wxyz", "12345", "", "+123"].map(word).iter().all(Option::is_none));
    }
}
