//! Worker threads of the kernel: which of them wait, and in which function.

use std::path::Path;

use super::{Kernel, KernelError, late};

/// Returns the process IDs of the workers that carry out work of a queue and wait in a
/// function whose name begins like this. /proc shows the queue in the worker's name
/// (`wq_worker_comm`) and the function as its `wchan`.
///
/// # Errors
/// When a process that still exists cannot be read.
pub(crate) fn waiting(
    kernel: &dyn Kernel,
    queue: &str,
    function: &str,
) -> Result<Vec<u32>, KernelError> {
    let proc = Path::new("/proc");
    // A plus sign is before the name of a queue whose work is being carried out.
    let working = format!("+{queue}");
    let mut found = Vec::new();
    for name in kernel.list(proc)? {
        let Ok(pid) = name.parse::<u32>() else { continue };
        let read = |file: &str| late::read(kernel, &proc.join(&name).join(file));
        let its = |comm: String| {
            comm.starts_with("kworker/") && comm.trim_end().ends_with(&working)
        };
        if read("comm")?.is_some_and(its)
            && read("wchan")?.is_some_and(|wchan| wchan.starts_with(function))
        {
            found.push(pid);
        }
    }
    Ok(found)
}
