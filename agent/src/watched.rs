//! A door around the kernel's door, for tests: it writes down what the agent asks and what the
//! kernel answers, and kills the agent in the middle of its work.
//!
//! `UNDERSTUDY_RECORD=FILE` has each call of [`Kernel::run`] appended to a file.
//! `UNDERSTUDY_DIE_AFTER=N` has the process end itself once N operations are done, as a node
//! does that loses its power there. Where neither is set, this door is not there.

use std::cell::Cell;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use understudy_core::kernel::{Around, Chain, ChainResult, Instant, Kernel, Recorded};

use crate::environment::variable;

/// Returns the door that this process goes through: the kernel's own, or one around it.
pub fn door(kernel: impl Kernel + 'static) -> Box<dyn Kernel> {
    let recording = variable("UNDERSTUDY_RECORD").map(PathBuf::from);
    let dies_after = variable("UNDERSTUDY_DIE_AFTER").and_then(|text| text.parse().ok());
    if recording.is_none() && dies_after.is_none() {
        return Box::new(kernel);
    }
    Box::new(Watched { kernel, recording, dies_after: Cell::new(dies_after) })
}

/// A kernel whose calls are recorded, or whose process is to die.
struct Watched<K> {
    kernel: K,
    recording: Option<PathBuf>,
    /// How many operations are left until this process dies.
    dies_after: Cell<Option<usize>>,
}

impl<K> Watched<K> {
    /// Returns what is still done of these chains by a process that is to die within them.
    fn last(&self, chains: &[Chain]) -> Option<Vec<Chain>> {
        let mut left = self.dies_after.get()?;
        let all: usize = chains.iter().map(Vec::len).sum();
        if all <= left {
            self.dies_after.set(Some(left - all));
            return None;
        }
        let cut = |chain: &Chain| {
            let done: Chain = chain.iter().take(left).cloned().collect();
            left -= done.len();
            done
        };
        Some(chains.iter().map(cut).collect())
    }
}

impl<K: Kernel> Around for Watched<K> {
    fn inner(&self) -> &dyn Kernel {
        &self.kernel
    }

    fn run_around(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        if let Some(last) = self.last(chains) {
            self.kernel.run(&last, until);
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
        let begun = self.now();
        let results = self.kernel.run(chains, until);
        if let Some(file) = self.recording.as_ref().filter(|_| !chains.is_empty()) {
            let (chains, results) = (chains.to_vec(), results.clone());
            Recorded { begun, chains, results }.append(file);
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use understudy_core::kernel::{Op, RealKernel};

    use super::*;

    fn watched(
        recording: Option<PathBuf>,
        dies_after: Option<usize>,
    ) -> Watched<RealKernel> {
        let root = recording.as_ref().and_then(|file| file.parent()).map(Path::to_owned);
        let kernel = RealKernel::new(root.unwrap_or_else(|| "/nowhere".into()));
        Watched { kernel, recording, dies_after: Cell::new(dies_after) }
    }

    #[test]
    fn the_last_operations_are_those_up_to_the_number() {
        let kernel = watched(None, Some(4));
        let op = |name: &str| Op::MakeDir(name.into());
        let two = vec![op("/a"), op("/b")];
        assert_eq!(kernel.last(std::slice::from_ref(&two)), None);
        let cut = kernel.last(&[vec![op("/c")], two.clone(), two]);
        assert_eq!(cut, Some(vec![vec![op("/c")], vec![op("/a")], vec![]]));
    }

    #[test]
    fn a_recording_reads_back() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("recording");
        let kernel = watched(Some(file.clone()), None);
        let chains = [vec![Op::MakeDir("/a".into()), Op::MakeDir("/no/parent".into())]];
        let soon = || kernel.now() + Duration::from_secs(20);
        let results = kernel.run(&chains, soon());
        kernel.run(&chains, soon());
        let read = Recorded::parse(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].chains, chains);
        assert_eq!(read[0].results, results);
        assert!(read[0].begun <= read[1].begun);
    }
}
