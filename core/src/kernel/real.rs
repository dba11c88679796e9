//! The running kernel, or a tree of files that looks like one.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::op::{Chain, ChainResult};
use super::perform::{monotonic, under};
use super::trace::Recorded;
use super::worker::Worker;
use super::{Cause, Instant, Kernel, KernelError, files};

/// The kernel below a root directory: `/` for the real one.
pub struct RealKernel {
    root: PathBuf,
    worker: RefCell<Option<Worker>>,
    recording: Option<PathBuf>,
    dies_after: Cell<Option<usize>>,
}

impl RealKernel {
    /// The kernel whose /sys, /dev and /run are found below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            worker: RefCell::new(None),
            recording: None,
            dies_after: Cell::new(None),
        }
    }

    /// Adds all that it is asked to do, and its answers, to a file outside the root.
    #[must_use]
    pub fn recording(mut self, file: Option<PathBuf>) -> Self {
        self.recording = file;
        self
    }

    /// Kills this process once so many operations are done, before the next.
    #[must_use]
    pub fn dying_after(self, operations: Option<usize>) -> Self {
        self.dies_after.set(operations);
        self
    }

    /// Whether this process may act on it: on this node's own kernel root alone may,
    /// who alone sees all of it. Below another root the files' own permissions decide.
    pub fn may_act(&self) -> bool {
        nix::unistd::geteuid().is_root() || !self.is_this_nodes()
    }

    /// Whether this is the kernel that runs this process, and not a tree of files.
    pub fn is_this_nodes(&self) -> bool {
        let place =
            |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        place(&self.root) == place(Path::new("/"))
    }

    /// The name of this node, as the kernel has it.
    pub fn node_name() -> String {
        let name = nix::unistd::gethostname().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn under(&self, path: &Path) -> PathBuf {
        under(&self.root, path)
    }
}

impl Kernel for RealKernel {
    fn read(&self, path: &Path) -> Result<String, KernelError> {
        let bytes =
            fs::read(self.under(path)).map_err(|e| KernelError::io("read", path, &e))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, KernelError> {
        let failed = |e: std::io::Error| KernelError::io("list", dir, &e);
        let entries = match fs::read_dir(self.under(dir)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, KernelError> {
        let failed = |e: std::io::Error| KernelError::io("list", dir, &e);
        let mut links = Vec::new();
        for entry in fs::read_dir(self.under(dir)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_symlink() {
                let link = dir.join(entry.file_name());
                let target = self.resolve(&link)?;
                links.push((link, target));
            }
        }
        Ok(links)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, KernelError> {
        let found = fs::canonicalize(self.under(path))
            .map_err(|e| KernelError::io("look up", path, &e))?;
        let inside = found.strip_prefix(&self.root).unwrap_or(&found);
        Ok(Path::new("/").join(inside))
    }

    fn exists(&self, path: &Path) -> bool {
        fs::symlink_metadata(self.under(path)).is_ok()
    }

    fn load(&self, path: &Path) -> Result<String, KernelError> {
        files::load(&self.root, path)
    }

    fn store(&self, path: &Path, text: &str) -> Result<(), KernelError> {
        files::store(&self.root, path, text)
    }

    fn discard(&self, path: &Path) -> Result<(), KernelError> {
        files::discard(&self.root, path)
    }

    fn run(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        if chains.is_empty() {
            return Vec::new();
        }
        if let Some(last) = self.last(chains) {
            self.have_done(&last, until);
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
        let begun = self.now();
        let results = self.have_done(chains, until);
        if let Some(file) = &self.recording {
            let (chains, results) = (chains.to_vec(), results.clone());
            Recorded { begun, chains, results }.append(file);
        }
        results
    }

    fn now(&self) -> Instant {
        monotonic()
    }

    fn wall(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

impl RealKernel {
    /// What is done yet of these chains by a process that is to die within them.
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

    /// Gives the work to the worker process, with a new one where the last is lost.
    fn have_done(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let worker = match self.worker.take() {
            Some(worker) => Ok(worker),
            None => Worker::start(&self.root),
        };
        match worker {
            Ok(worker) => {
                let (results, worker) = worker.run(chains, until);
                self.worker.replace(worker);
                results
            }
            Err(errno) => chains.iter().map(|chain| no_worker(chain, errno)).collect(),
        }
    }
}

fn no_worker(chain: &Chain, errno: Errno) -> ChainResult {
    let failed = chain.first().map(|op| {
        let mut error = op.failed(Cause::Errno(errno as i32));
        error.action = format!("start a process to {}", error.action);
        error
    });
    ChainResult { done: Vec::new(), failed }
}

#[cfg(test)]
mod tests {
    use super::super::op::{Done, Op};
    use super::*;

    fn soon() -> Instant {
        monotonic() + Duration::from_secs(20)
    }

    #[test]
    fn chains_run_in_order_and_stop_at_a_failure() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        let dir = PathBuf::from("/a");
        let results = kernel.run(
            &[
                vec![Op::MakeDir(dir.clone()), Op::MakeDir(dir.join("b"))],
                vec![Op::MakeDir("/no/parent".into()), Op::MakeDir("/after".into())],
            ],
            soon(),
        );
        assert_eq!(results[0].done, [Done::Changed, Done::Changed]);
        assert!(results[1].failed.as_ref().unwrap().is(Errno::ENOENT));
        assert!(kernel.exists(Path::new("/a/b")) && !kernel.exists(Path::new("/after")));
    }

    #[test]
    fn what_is_done_already_is_unchanged() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        let chain = vec![
            Op::MakeDir("/a".into()),
            Op::MakeDir("/a".into()),
            Op::Link { at: "/l".into(), to: "/a".into() },
            Op::Link { at: "/l".into(), to: "/a".into() },
            Op::Unlink("/l".into()),
            Op::Unlink("/l".into()),
            Op::RemoveDir("/a".into()),
            Op::RemoveDir("/a".into()),
        ];
        let done = kernel.run(&[chain], soon())[0].done.clone();
        let twice = [Done::Changed, Done::Unchanged];
        assert_eq!(done, twice.iter().cycle().take(8).cloned().collect::<Vec<_>>());
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_told() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        for dir in ["/a", "/b"] {
            kernel.run(&[vec![Op::MakeDir(dir.into())]], soon());
        }
        let link = |to: &str| vec![vec![Op::Link { at: "/l".into(), to: to.into() }]];
        kernel.run(&link("/a"), soon());
        let error = kernel.run(&link("/b"), soon())[0].failed.clone().unwrap();
        assert!(matches!(error.cause, Cause::LeadsTo(_)), "{error}");
    }

    /// A FIFO without a reader hangs the writer's open, as a kernel that does not answer.
    #[test]
    fn a_write_that_hangs_is_reported_in_time_and_the_rest_goes_on() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("hang"), nix::sys::stat::Mode::S_IRWXU)
            .unwrap();
        let kernel = RealKernel::new(root.path());
        let write = |path: &str| Op::Write { path: path.into(), text: "1".into() };
        let until = monotonic() + Duration::from_millis(300);
        let results = kernel.run(
            &[
                vec![Op::MakeDir("/before".into()), write("/hang"), write("/after")],
                vec![Op::MakeDir("/beside".into())],
            ],
            until,
        );
        assert!(monotonic() < until + Duration::from_secs(5));
        assert_eq!(results[0].done, [Done::Changed]);
        let error = results[0].failed.clone().unwrap();
        assert_eq!(error.cause, Cause::TimedOut);
        assert_eq!(error.path, Path::new("/hang"));
        assert_eq!(results[1].failed, None);
        // The next request gets a new worker.
        let again = kernel.run(&[vec![Op::MakeDir("/again".into())]], soon());
        assert_eq!(again[0].failed, None);
    }

    #[test]
    fn the_last_operations_are_those_up_to_the_number() {
        let kernel = RealKernel::new("/nowhere").dying_after(Some(4));
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
        let kernel = RealKernel::new(root.path()).recording(Some(file.clone()));
        let chains = [vec![Op::MakeDir("/a".into()), Op::MakeDir("/no/parent".into())]];
        let results = kernel.run(&chains, soon());
        kernel.run(&chains, soon());
        let read = Recorded::parse(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].chains, chains);
        assert_eq!(read[0].results, results);
        assert!(read[0].begun <= read[1].begun);
    }

    #[test]
    fn no_time_means_not_begun() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        let results = kernel.run(&[vec![Op::MakeDir("/a".into())]], monotonic());
        assert_eq!(results[0].failed.clone().unwrap().cause, Cause::NotBegun);
        assert!(!kernel.exists(Path::new("/a")));
    }
}
