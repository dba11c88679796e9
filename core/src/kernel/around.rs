//! A wrapper around a kernel door. Questions go to the door inside. Changes go through
//! the wrapper, which may record them, or stop the process in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Chain, ChainResult, Instant, Kernel, KernelError};

/// A wrapper around a kernel door. A type that implements this is a [`Kernel`] itself.
pub trait Around {
    /// Returns the door inside.
    fn inner(&self) -> &dyn Kernel;
    /// Carries out chains of operations in place of [`Kernel::run`].
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
