//! The files and folders that the lab uses.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the folder of the lab's sources: recipes for the image, and the guests' own
/// files.
#[must_use]
pub fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let sources = sources();
    sources.ancestors().nth(2).unwrap_or(&sources).to_owned()
}

/// Returns `target/lab`, which has the running lab's files and the logs of the last one.
#[must_use]
pub fn lab() -> PathBuf {
    workspace().join("target/lab")
}

/// Returns the folder for what is kept between runs, for all clones of the project.
///
/// # Errors
/// Neither XDG_CACHE_HOME nor HOME is set.
pub fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
        .ok_or_else(|| Error::other("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(base.join("understudy"))
}

/// Returns a new folder for sockets, whose paths must stay under 108 bytes.
///
/// # Errors
/// The folder cannot be made.
pub fn new_run_folder() -> Result<PathBuf> {
    let base = env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_dir() && path.as_os_str().len() < 40)
        .unwrap_or_else(|| PathBuf::from("/tmp"));
    let path = base.join(format!("understudy-lab.{}", std::process::id()));
    if path.exists() {
        remove(&path)?;
    }
    make(&path)?;
    Ok(path)
}

/// Makes a folder, with the folders above it.
///
/// # Errors
/// The folder cannot be made.
pub fn make(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("make", path))
}

/// Removes a file or a folder with all that is in it, if it is there.
///
/// # Errors
/// Something cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let done = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(Error::io("remove", path)),
    }
}

/// Writes a file, with the folders above it.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        make(folder)?;
    }
    fs::write(path, text).map_err(Error::io("write", path))
}

/// Reads a text file.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Copies a tree: folders, files with their modes, links as links.
///
/// # Errors
/// Something cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    make(to)?;
    for entry in fs::read_dir(from).map_err(Error::io("list", from))? {
        let entry = entry.map_err(Error::io("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("stat", &source))?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(Error::io("read link", &source))?;
            std::os::unix::fs::symlink(link, &target)
                .map_err(Error::io("make link", &target))?;
        } else {
            fs::copy(&source, &target).map_err(Error::io("copy to", &target))?;
        }
    }
    Ok(())
}

/// Returns the last lines of a text file, or an empty text if there is no such file.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
