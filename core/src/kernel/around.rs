//! A door around a kernel's door, for tests: all is asked of the kernel behind it, and what is
//! to be carried out passes through here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Chain, ChainResult, Instant, Kernel, KernelError};

/// A door around another. Whoever implements it is a [`Kernel`].
pub trait Around {
    /// Returns the kernel behind this door.
    fn inner(&self) -> &dyn Kernel;
    /// Carries out chains of operations, as [`Kernel::run`] does.
    fn run_around(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult>;
}

impl<A: Around> Kernel for A {
    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        self.run_around(chains, until)
    }

    fn read(&self, path: &Path) -> Result<String, KernelError> {
        self.inner().read(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError> {
        self.inner().list(dir)
    }

    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError> {
        self.inner().links(dir)
    }

    fn leads(&self, link: &Path) -> Result<Option<PathBuf>, KernelError> {
        self.inner().leads(link)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError> {
        self.inner().resolve(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.inner().exists(path)
    }

    fn load(&self, path: &Path) -> Result<String, KernelError> {
        self.inner().load(path)
    }

    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError> {
        self.inner().store(path, text)
    }

    fn discard(&self, path: &Path) -> Result<(), KernelError> {
        self.inner().discard(path)
    }

    fn now(&self) -> Instant {
        self.inner().now()
    }

    fn wall(&self) -> u64 {
        self.inner().wall()
    }

    fn sleep(&self, time: Duration) {
        self.inner().sleep(time);
    }
}
