//! Directories, attributes and links, without any meaning yet.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

#[derive(Debug, Clone)]
pub enum Entry {
    Dir(Dir),
    File(String),
    Link(PathBuf),
}

#[derive(Debug, Clone, Default)]
pub struct Dir {
    /// Made by a mkdir of the agent's, not by the kernel itself.
    pub made: bool,
    /// How many links lead here.
    pub linked: usize,
    entries: BTreeMap<OsString, Entry>,
}

impl Dir {
    /// Whether something that the agent made is in here, however deep: it pins the
    /// directory.
    pub fn is_pinned(&self) -> bool {
        self.entries.values().any(|entry| match entry {
            Entry::Dir(dir) => dir.made || dir.is_pinned(),
            Entry::Link(_) => true,
            Entry::File(_) => false,
        })
    }

    /// Where the links in it lead.
    pub fn links(&self) -> impl Iterator<Item = (&OsString, &PathBuf)> {
        self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Link(to) => Some((name, to)),
            _ => None,
        })
    }

    /// The directories in it.
    pub fn dirs(&self) -> impl Iterator<Item = &Dir> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Dir(dir) => Some(dir),
            _ => None,
        })
    }

    /// The text of a file in it.
    pub fn file(&self, name: &str) -> Option<&str> {
        match self.entries.get(OsStr::new(name)) {
            Some(Entry::File(text)) => Some(text),
            _ => None,
        }
    }

    /// The names of what is in it.
    pub fn names(&self) -> impl Iterator<Item = &OsString> {
        self.entries.keys()
    }
}

/// The names in an absolute path. `Path` would also see to dots and doubled slashes,
/// which none of these has, and half of all time would go there.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    parts.skip(1).map(OsStr::from_bytes)
}

/// A tree, by absolute paths. No link is followed but where it is said.
#[derive(Debug, Clone, Default)]
pub struct Tree(Dir);

impl Tree {
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        let mut names = names(path);
        let mut entry = self.0.entries.get(names.next()?)?;
        for name in names {
            let Entry::Dir(dir) = entry else { return None };
            entry = dir.entries.get(name)?;
        }
        Some(entry)
    }

    pub fn get_dir(&self, path: &Path) -> Option<&Dir> {
        match self.get(path)? {
            Entry::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    pub fn get_dir_mut(&mut self, path: &Path) -> Option<&mut Dir> {
        names(path).try_fold(&mut self.0, |dir, name| {
            match dir.entries.get_mut(name)? {
                Entry::Dir(dir) => Some(dir),
                _ => None,
            }
        })
    }

    /// Makes a directory, and every one above it.
    pub fn dir(&mut self, path: &Path) -> &mut Dir {
        names(path).fold(&mut self.0, |dir, name| {
            let entry = dir.entries.entry(name.to_owned());
            match entry.or_insert_with(|| Entry::Dir(Dir::default())) {
                Entry::Dir(dir) => dir,
                _ => unreachable!("a file is in the way of a directory"),
            }
        })
    }

    /// Puts something in its place, and makes the directories above it.
    fn put(&mut self, path: &Path, entry: Entry) {
        if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
            self.dir(dir).entries.insert(name.to_owned(), entry);
        }
    }

    pub fn file(&mut self, path: impl AsRef<Path>, text: impl Into<String>) {
        self.put(path.as_ref(), Entry::File(text.into()));
    }

    pub fn link(&mut self, at: impl AsRef<Path>, to: impl Into<PathBuf>) {
        self.put(at.as_ref(), Entry::Link(to.into()));
    }

    /// Removes something and all below it.
    pub fn remove(&mut self, path: &Path) -> Option<Entry> {
        self.get_dir_mut(path.parent()?)?.entries.remove(path.file_name()?)
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.get(path).is_some()
    }

    pub fn read(&self, path: &Path) -> Result<&str, Errno> {
        match self.get(path) {
            Some(Entry::File(text)) => Ok(text),
            Some(_) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    /// The names in a directory, sorted.
    pub fn list(&self, dir: &Path) -> Vec<String> {
        let names = self.get_dir(dir).into_iter().flat_map(Dir::names);
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    pub fn links(&self, dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Errno> {
        let links = self.get_dir(dir).ok_or(Errno::ENOENT)?.links();
        Ok(links.map(|(name, to)| (dir.join(name), to.clone())).collect())
    }

    /// Where a path leads when its last link is followed.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Errno> {
        match self.get(path) {
            Some(Entry::Link(to)) => self.resolve(to),
            Some(_) => Ok(path.to_owned()),
            None => Err(Errno::ENOENT),
        }
    }

    /// Every path below a directory.
    pub fn below(&self, dir: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let inside = self.get_dir(dir).into_iter().flat_map(|dir| &dir.entries);
        for (name, entry) in inside {
            let path = dir.join(name);
            found.push(path.clone());
            if matches!(entry, Entry::Dir(_)) {
                found.extend(self.below(&path));
            }
        }
        found
    }
}
