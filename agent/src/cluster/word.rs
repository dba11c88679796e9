//! The cluster's word: four digits in every node's reservation key, so that two clusters
//! whose nodes have the same names do not share keys. The first node that wants the word
//! makes it. It is stored in the cluster's configuration.

use std::fs::File;
use std::io::Read;

use understudy_core::action::failure::Failure;
use understudy_core::disks::ownership;
use understudy_core::kernel::{Kernel, KernelError};

use super::ask;

/// The name of the cluster's property.
const PROPERTY: &str = "understudy-word";
const STEP: &str = "learn the cluster's word";

/// Notes the cluster's word on this node, if it has not been noted since the last boot. A
/// failure is only a warning: keys then have their node's name alone.
pub fn learn(kernel: &dyn Kernel) {
    if ownership::knows_cluster(kernel) {
        return;
    }
    let noted = word().and_then(|word| {
        let noted = ownership::remember_cluster(kernel, &word);
        noted.map_err(|error| Failure::kernel(STEP, &[error]))
    });
    if let Err(failure) = noted {
        log::warn!("{failure}; reservation keys go without it");
    }
}

/// Returns the word, and makes one where there is none. If two nodes make one at once,
/// the second is refused and reads the first one's.
fn word() -> Result<String, Failure> {
    let known = || {
        let query = ["-t", "crm_config", "-n", PROPERTY, "-Q", "-q"];
        ask(STEP, "crm_attribute", &query)
    };
    if let Ok(word) = known() {
        return Ok(word);
    }
    let set = format!(
        "<cluster_property_set id=\"understudy\"><nvpair id=\"{PROPERTY}\" \
         name=\"{PROPERTY}\" value=\"{:04x}\"/></cluster_property_set>",
        any_number()?
    );
    let made = ask(STEP, "cibadmin", &["--create", "--scope", "crm_config", "-X", &set]);
    known().map_err(|failure| made.err().unwrap_or(failure))
}

/// Returns a number that nobody else has had a hand in.
fn any_number() -> Result<u16, Failure> {
    let path = "/dev/urandom";
    let mut bytes = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    let failed = |error| KernelError::io("read", path.as_ref(), &error);
    read.map_err(|error| Failure::kernel(STEP, &[failed(error)]))?;
    Ok(u16::from_be_bytes(bytes))
}
