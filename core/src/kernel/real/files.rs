//! Reads and writes understudy's own files safely. Through a link in place of a file,
//! root could be made to write anywhere. Through a directory that others can write, root
//! could be made to believe anything. So a path is walked name by name and no link is
//! followed. Every directory and file on it must belong to the user who runs this
//! program, which is root except in tests.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat, renameat};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::kernel::{Cause, KernelError};

/// The largest file that is read. The largest configuration needs only a fraction of
/// this.
const LARGEST: u64 = 4 << 20;

/// Returns the text of a file.
pub(crate) fn load(root: &Path, path: &Path) -> Result<String, KernelError> {
    let failed = |errno| refused("read", path, errno);
    let (dir, name) = directory(root, path, false)?;
    // Without O_NONBLOCK, opening a FIFO would wait for a writer.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = open(&dir, &name, flags).map_err(failed)?;
    ours(&file, SFlag::S_IFREG).map_err(|cause| KernelError::new("read", path, cause))?;
    let mut bytes = Vec::new();
    File::from(file)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| KernelError::io("read", path, &e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(Errno::EFBIG));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Replaces a file as a whole. Only its user can read it. The directory is made if
/// necessary.
pub(crate) fn store(root: &Path, path: &Path, text: &str) -> Result<(), KernelError> {
    let (dir, name) = directory(root, path, true)?;
    // The draft has this process's ID in its name, because two agents may write side by
    // side.
    let draft = name.with_extension(format!("new-{}", std::process::id()));
    let _ = unlinkat(&dir, &draft, UnlinkatFlags::NoRemoveDir);
    let flags = OFlag::O_WRONLY
        | OFlag::O_CREAT
        | OFlag::O_EXCL
        | OFlag::O_NOFOLLOW
        | OFlag::O_CLOEXEC;
    let file = openat(&dir, &draft, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|errno| refused("create", path, errno))?;
    File::from(file)
        .write_all(text.as_bytes())
        .map_err(|e| KernelError::io("write", path, &e))?;
    // If a link has the file's name, `renameat` replaces it and does not follow it.
    renameat(&dir, &draft, &dir, &name)
        .map_err(|errno| refused("put in place", path, errno))
}

/// Waits until this process alone holds the lock on a file. Dropping the returned value
/// releases the lock. The file is made if necessary.
pub(crate) fn lock(root: &Path, path: &Path) -> Result<Flock<OwnedFd>, KernelError> {
    let failed = |errno| refused("lock", path, errno);
    let (dir, name) = directory(root, path, true)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file =
        openat(&dir, &name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
    ours(&file, SFlag::S_IFREG).map_err(|cause| KernelError::new("lock", path, cause))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno))
}

/// Removes a file, if it exists.
pub(crate) fn discard(root: &Path, path: &Path) -> Result<(), KernelError> {
    let removed = directory(root, path, false).and_then(|(dir, name)| {
        unlinkat(&dir, &name, UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| refused("remove", path, errno))
    });
    match removed {
        Err(error) if !error.is(Errno::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// Opens the directory that a file is in, and returns it with the file's name.
fn directory(
    root: &Path,
    path: &Path,
    make: bool,
) -> Result<(OwnedFd, PathBuf), KernelError> {
    let unfit = || KernelError::errno("open", path, Errno::EINVAL);
    let (parent, file) = path.parent().zip(path.file_name()).ok_or_else(unfit)?;
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = openat(AT_FDCWD, root, flags, Mode::empty())
        .map_err(|errno| refused("open", root, errno))?;
    let mut at = PathBuf::from("/");
    for part in parent.components().skip_while(|part| *part == Component::RootDir) {
        let Component::Normal(name) = part else { return Err(unfit()) };
        at.push(name);
        if make {
            match mkdirat(&dir, name, Mode::from_bits_retain(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(refused("mkdir", &at, errno)),
            }
        }
        dir = open(&dir, Path::new(name), OFlag::O_DIRECTORY)
            .map_err(|errno| refused("open", &at, errno))?;
        ours(&dir, SFlag::S_IFDIR)
            .map_err(|cause| KernelError::new("open", &at, cause))?;
    }
    Ok((dir, file.into()))
}

fn open(dir: impl AsFd, name: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(dir, name, flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// Checks that an open file is of this kind, and that only root or this user can write
/// it.
fn ours(fd: impl AsFd, kind: SFlag) -> Result<(), Cause> {
    let stat = fstat(fd).map_err(|errno| Cause::Errno(errno as i32))?;
    let why = if stat.st_mode & libc::S_IFMT != kind.bits() {
        "it is not a plain file".to_owned()
    } else if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        format!("it belongs to user {}, not to root", stat.st_uid)
    } else if stat.st_mode & 0o022 != 0 {
        format!("others than root can write it (mode {:04o})", stat.st_mode & 0o7777)
    } else {
        return Ok(());
    };
    Err(Cause::NotOurs(why))
}

/// Returns the kernel's refusal as an error. A refusal because of a link has words of its
/// own.
fn refused(action: &str, path: &Path, errno: Errno) -> KernelError {
    match errno {
        Errno::ELOOP | Errno::ENOTDIR => {
            let why = "a link or no directory; no link is followed here".to_owned();
            KernelError::new(action, path, Cause::NotOurs(why))
        }
        errno => KernelError::errno(action, path, errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    const ENTRY: &str = "/run/understudy/ports/a.json";

    /// A root directory with /run in it, and a place outside it that a link could lead
    /// to.
    fn root() -> (tempfile::TempDir, tempfile::TempDir) {
        let (root, elsewhere) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("run")).unwrap();
        (root, elsewhere)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// Returns the errors of load, store and discard. All three must refuse.
    fn refusals(root: &Path) -> Vec<String> {
        let path = Path::new(ENTRY);
        let all =
            [load(root, path).map(drop), store(root, path, "x"), discard(root, path)];
        all.into_iter().map(|result| result.unwrap_err().to_string()).collect()
    }

    #[test]
    fn a_file_is_its_users_alone() {
        let (root, _elsewhere) = root();
        store(root.path(), Path::new(ENTRY), "one").unwrap();
        store(root.path(), Path::new(ENTRY), "two").unwrap();
        assert_eq!(load(root.path(), Path::new(ENTRY)).unwrap(), "two");
        let file = root.path().join(&ENTRY[1..]);
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()) & 0o022, 0);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        discard(root.path(), Path::new(ENTRY)).unwrap();
        discard(root.path(), Path::new(ENTRY)).unwrap();
        assert!(load(root.path(), Path::new(ENTRY)).unwrap_err().is(Errno::ENOENT));
    }

    #[test]
    fn a_link_in_place_of_a_file_is_replaced_and_never_followed() {
        let (root, elsewhere) = root();
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "theirs").unwrap();
        store(root.path(), Path::new(ENTRY), "x").unwrap();
        let file = root.path().join(&ENTRY[1..]);
        let draft = file.with_extension(format!("new-{}", std::process::id()));
        fs::remove_file(&file).unwrap();
        for at in [&file, &draft] {
            symlink(&victim, at).unwrap();
        }

        let error = load(root.path(), Path::new(ENTRY)).unwrap_err().to_string();
        assert!(
            error.contains(ENTRY) && error.contains("no link is followed"),
            "{error}"
        );
        store(root.path(), Path::new(ENTRY), "ours").unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(load(root.path(), Path::new(ENTRY)).unwrap(), "ours");

        fs::remove_file(&file).unwrap();
        symlink(&victim, &file).unwrap();
        discard(root.path(), Path::new(ENTRY)).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
        assert_eq!(mode(&victim) & 0o600, 0o600);
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_refused() {
        for link in ["run/understudy", "run/understudy/ports"] {
            let (root, elsewhere) = root();
            fs::create_dir(elsewhere.path().join("ports")).unwrap();
            let at = root.path().join(link);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            symlink(elsewhere.path(), &at).unwrap();
            for error in refusals(root.path()) {
                assert!(error.contains(&format!("/{link}: ")), "{error}");
                assert!(error.contains("no link is followed"), "{error}");
            }
            let ports = fs::read_dir(elsewhere.path().join("ports")).unwrap();
            assert_eq!(ports.count(), 0);
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let (root, _elsewhere) = root();
        store(root.path(), Path::new(ENTRY), "x").unwrap();
        let dir = root.path().join("run/understudy");
        for open in [0o777, 0o775, 0o1777] {
            fs::set_permissions(&dir, PermissionsExt::from_mode(open)).unwrap();
            for error in refusals(root.path()) {
                assert!(error.contains("others than root can write it"), "{error}");
            }
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        if !geteuid().is_root() {
            return; // Only root can give a file away.
        }
        let (root, _elsewhere) = root();
        store(root.path(), Path::new(ENTRY), "x").unwrap();
        chown(root.path().join(&ENTRY[1..]), Some(65534), None).unwrap();
        let error = load(root.path(), Path::new(ENTRY)).unwrap_err().to_string();
        assert!(error.contains("belongs to user 65534"), "{error}");
        chown(root.path().join("run/understudy/ports"), Some(65534), None).unwrap();
        for error in refusals(root.path()) {
            assert!(error.contains("belongs to user 65534"), "{error}");
        }
    }

    /// Checks that files which would block the reader, or fill its memory, are refused.
    #[test]
    fn only_a_plain_file_of_a_sane_size_is_read() {
        let (root, _elsewhere) = root();
        store(root.path(), Path::new(ENTRY), "x").unwrap();
        let file = root.path().join(&ENTRY[1..]);
        File::options().write(true).open(&file).unwrap().set_len(LARGEST + 1).unwrap();
        let error = load(root.path(), Path::new(ENTRY)).unwrap_err();
        assert!(error.is(Errno::EFBIG), "{error}");

        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, Mode::S_IRWXU).unwrap();
        let error = load(root.path(), Path::new(ENTRY)).unwrap_err().to_string();
        assert!(error.contains("not a plain file"), "{error}");
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let (root, _elsewhere) = root();
        for path in ["/run/../../x", "run/x/..", "/", ".."] {
            let error = store(root.path(), Path::new(path), "x").unwrap_err();
            assert!(error.is(Errno::EINVAL), "{path}: {error}");
        }
    }
}
