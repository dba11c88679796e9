//! This node's name in the cluster, which may differ from its host name. The node's
//! reservation key is made from it. So the agent, the commands, the metrics and the
//! Python module all get it here.

use std::path::Path;

use crate::kernel::{Kernel, RealKernel, paths};

/// Returns this node's name: the one that the cluster has reported since the boot, or
/// else the host name.
pub fn name(kernel: &dyn Kernel) -> String {
    recorded(kernel).unwrap_or_else(RealKernel::node_name)
}

/// Returns the name that the cluster has reported for this node since the boot, if it
/// has.
pub fn recorded(kernel: &dyn Kernel) -> Option<String> {
    let text = kernel.load(Path::new(paths::NODE)).ok()?;
    let name = text.trim();
    let is_name = !name.is_empty() && !name.contains(char::is_control);
    is_name.then(|| name.to_owned())
}

/// Records the cluster's name for this node. A failure is only a warning, because it
/// affects only programs that the cluster does not tell the name itself.
pub fn record(kernel: &dyn Kernel, name: &str) {
    if recorded(kernel).as_deref() == Some(name) {
        return;
    }
    if let Err(error) = kernel.store(Path::new(paths::NODE), &format!("{name}\n")) {
        log::warn!("this node's name in the cluster is not recorded: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clusters_name_for_a_node_is_recorded() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        assert_eq!(name(&kernel), RealKernel::node_name());
        record(&kernel, "array-a");
        assert_eq!(name(&kernel), "array-a");
        record(&kernel, "array-b");
        assert_eq!(name(&kernel), "array-b");
        for damaged in ["", "\n", "a\nb\n"] {
            kernel.store(Path::new(paths::NODE), damaged).unwrap();
            assert_eq!(recorded(&kernel), None, "{damaged:?}");
        }
    }
}
