//! The kernel door to the running kernel, or to a tree of files that looks like one.

mod account;
mod bar;
mod bsg;
mod files;
mod lanes;
mod multipathd;
mod nft;
mod perform;
pub(super) mod place;
mod rcu;
mod size;
mod worker;

use std::cell::RefCell;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use self::place::{monotonic, under};
use self::worker::{Work, Worker};
use crate::kernel::late::Purpose;
use crate::kernel::op::{Chain, ChainResult};
use crate::kernel::{Cause, Instant, Kernel, KernelError};

/// The kernel whose files are below a root directory: `/` for the running kernel.
pub struct RealKernel {
    root: PathBuf,
    work: Option<Work>,
    worker: RefCell<Option<Worker>>,
}

impl RealKernel {
    /// Returns the kernel whose /sys, /dev and /run are found below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), work: None, worker: RefCell::new(None) }
    }

    /// Returns the running kernel, or for tests the one below the directory that the
    /// environment variable `UNDERSTUDY_ROOT` names.
    pub fn of_environment() -> Self {
        let root = std::env::var_os("UNDERSTUDY_ROOT").filter(|root| !root.is_empty());
        Self::new(root.unwrap_or_else(|| "/".into()))
    }

    /// Returns this door with a name for its worker process. Later actions find the
    /// process by that name if it hangs.
    #[must_use]
    pub fn working_for(mut self, group: &str, purpose: Purpose) -> Self {
        self.work = Some((group.to_owned(), purpose));
        self
    }

    /// Returns whether this process may use the door. For the running kernel only root
    /// may, because only root sees everything. For a tree of files the permissions of the
    /// files decide.
    pub fn may_act(&self) -> bool {
        nix::unistd::geteuid().is_root() || !self.is_this_nodes()
    }

    /// Returns whether this is the running kernel, and not a tree of files.
    pub fn is_this_nodes(&self) -> bool {
        let place =
            |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        place(&self.root) == place(Path::new("/"))
    }

    /// Returns the kernel's name for this node.
    pub(crate) fn node_name() -> String {
        let name = nix::unistd::gethostname().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn under(&self, path: &Path) -> PathBuf {
        under(&self.root, path)
    }
}

impl Kernel for RealKernel {
    fn read(&self, path: &Path) -> Result<String, KernelError> {
        let bytes = read_whole(&self.under(path))
            .map_err(|e| KernelError::io("read", path, &e))?;
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
                let text = fs::read_link(entry.path())
                    .map_err(|e| KernelError::io("read link", &link, &e))?;
                links.push((link, self.lead(dir, &text)));
            }
        }
        Ok(links)
    }

    fn leads(&self, link: &Path) -> Result<Option<PathBuf>, KernelError> {
        match fs::read_link(self.under(link)) {
            Ok(text) => Ok(link.parent().map(|dir| self.lead(dir, &text))),
            // A path that is not a link leads nowhere, like one that does not exist.
            Err(e)
                if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) =>
            {
                Ok(None)
            }
            Err(e) => Err(KernelError::io("read link", link, &e)),
        }
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
        self.have_done(chains, until)
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

/// Reads an attribute. An attribute comes whole, and is a page at most. So if it does not
/// fill the buffer, it has ended, and the second `read` that would find the end is saved.
/// A thousand LUNs have thousands of attributes.
fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut bytes = vec![0; 4096];
    let length = file.read(&mut bytes)?;
    if length < bytes.len() {
        bytes.truncate(length);
    } else {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

impl RealKernel {
    /// Returns the path that the text of a link in a directory names.
    fn lead(&self, dir: &Path, text: &Path) -> PathBuf {
        let mut place =
            if text.is_absolute() { PathBuf::from("/") } else { dir.to_owned() };
        for part in text.strip_prefix(&self.root).unwrap_or(text).components() {
            match part {
                Component::ParentDir => drop(place.pop()),
                Component::Normal(name) => place.push(name),
                _ => {}
            }
        }
        place
    }

    /// Sends the chains to the worker process and returns its results. If there is no
    /// worker, or the last one was lost, a new one is started.
    fn have_done(&self, chains: &[Chain], until: Instant) -> Vec<ChainResult> {
        let worker = match self.worker.take() {
            Some(worker) => Ok(worker),
            None => Worker::start(&self.root, self.work.as_ref()),
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
    use super::*;
    use crate::kernel::op::{Done, Op};

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
    fn a_file_is_read_whole_whatever_its_length() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        for length in [0, 1, 4095, 4096, 4097, 9000] {
            let text = "x".repeat(length);
            fs::write(root.path().join("f"), &text).unwrap();
            assert!(kernel.read(Path::new("/f")).unwrap() == text, "{length}");
        }
    }

    /// Checks relative links as configfs writes them (`../../core/...`), and absolute
    /// ones as a test's tree has them.
    #[test]
    fn links_lead_where_their_text_says() {
        let root = tempfile::tempdir().unwrap();
        let kernel = RealKernel::new(root.path());
        fs::create_dir_all(root.path().join("t/lun/lun_0")).unwrap();
        let dir = root.path().join("t/lun/lun_0");
        std::os::unix::fs::symlink("../../../core/b", dir.join("link")).unwrap();
        std::os::unix::fs::symlink(root.path().join("core/c"), dir.join("root")).unwrap();
        fs::write(dir.join("text"), "").unwrap();
        let mut links = kernel.links(Path::new("/t/lun/lun_0")).unwrap();
        links.sort();
        let at = |name: &str| Path::new("/t/lun/lun_0").join(name);
        let expected = [(at("link"), "/core/b".into()), (at("root"), "/core/c".into())];
        assert_eq!(links, expected);
        assert_eq!(kernel.leads(&at("link")), Ok(Some("/core/b".into())));
        assert_eq!(kernel.leads(&at("text")), Ok(None));
        assert_eq!(kernel.leads(&at("none")), Ok(None));
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

    #[test]
    fn of_several_attributes_the_one_that_fails_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        fs::write(root.path().join("d/one"), "").unwrap();
        let values = [("one", "1"), ("two", "2")].map(|(n, v)| (n.into(), v.into()));
        let all = Op::WriteAll { dir: "/d".into(), values: values.to_vec() };
        let results = RealKernel::new(root.path()).run(&[vec![all]], soon());
        let error = results[0].failed.clone().unwrap();
        assert_eq!(
            (error.path.as_path(), error.value.as_deref()),
            (Path::new("/d/two"), Some("2"))
        );
        assert_eq!(fs::read_to_string(root.path().join("d/one")).unwrap(), "1");
    }

    /// A FIFO that nobody reads: opening it for writing hangs, like a kernel that does
    /// not answer.
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
        // The next request is carried out by a new worker.
        let again = kernel.run(&[vec![Op::MakeDir("/again".into())]], soon());
        assert_eq!(again[0].failed, None);
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
