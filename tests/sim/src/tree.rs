//! Directories, attributes and links, without any meaning yet. Whole paths are looked up
//! in one step: a simulation asks for little else.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use understudy_core::kernel::nexus::Look;

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
    names: BTreeSet<String>,
}

/// A tree, by absolute paths. No link is followed but where it is said.
#[derive(Debug, Clone, Default)]
pub struct Tree(HashMap<String, Entry, BuildHasherDefault<PathHasher>>);

/// Eight bytes at a time, for keys that nobody chooses to collide.
#[derive(Debug, Clone, Copy, Default)]
struct PathHasher(u64);

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns a path as text: no path here is anything else.
fn key(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

impl Look for Tree {
    fn text(&self, path: &Path) -> Option<String> {
        self.read(path).ok().map(str::to_owned)
    }

    fn names(&self, dir: &Path) -> Vec<String> {
        self.list(dir)
    }
}

impl Tree {
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.0.get(key(path))
    }

    pub fn get_dir(&self, path: &Path) -> Option<&Dir> {
        match self.get(path)? {
            Entry::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    pub fn get_dir_mut(&mut self, path: &Path) -> Option<&mut Dir> {
        match self.0.get_mut(key(path))? {
            Entry::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    /// Makes a directory, and every one above it.
    pub fn dir(&mut self, path: &Path) {
        if self.get_dir(path).is_none() {
            self.put(path, Entry::Dir(Dir::default()));
        }
    }

    /// Puts something in its place, and makes the directories above it.
    fn put(&mut self, path: &Path, entry: Entry) {
        let path = key(path);
        if let Some((above, name)) = path.rsplit_once('/').filter(|_| path.len() > 1) {
            let above = Path::new(if above.is_empty() { "/" } else { above });
            self.dir(above);
            if let Some(above) = self.get_dir_mut(above) {
                if !above.names.contains(name) {
                    above.names.insert(name.to_owned());
                }
            }
        }
        self.0.insert(path.to_owned(), entry);
    }

    pub fn file(&mut self, path: impl AsRef<Path>, text: impl Into<String>) {
        self.put(path.as_ref(), Entry::File(text.into()));
    }

    pub fn link(&mut self, at: impl AsRef<Path>, to: impl Into<PathBuf>) {
        self.put(at.as_ref(), Entry::Link(to.into()));
    }

    /// Removes something and all below it.
    pub fn remove(&mut self, path: &Path) -> Option<Entry> {
        let removed = self.0.remove(key(path))?;
        let name = path.file_name().and_then(|name| name.to_str());
        if let (Some(above), Some(name)) = (path.parent(), name) {
            if let Some(above) = self.get_dir_mut(above) {
                above.names.remove(name);
            }
        }
        if let Entry::Dir(dir) = &removed {
            for name in &dir.names {
                self.remove(&path.join(name));
            }
        }
        Some(removed)
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

    /// Returns the names in a directory, sorted.
    pub fn list(&self, dir: &Path) -> Vec<String> {
        self.get_dir(dir).into_iter().flat_map(|dir| &dir.names).cloned().collect()
    }

    /// Returns what is in a directory.
    fn inside<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (PathBuf, &'a Entry)> {
        let names = self.get_dir(dir).into_iter().flat_map(|dir| &dir.names);
        names.filter_map(move |name| {
            let path = dir.join(name);
            let entry = self.get(&path)?;
            Some((path, entry))
        })
    }

    /// Returns the symbolic links in a directory, and where each leads.
    pub fn links(&self, dir: &Path) -> Vec<(PathBuf, PathBuf)> {
        let links = self.inside(dir).filter_map(|(path, entry)| match entry {
            Entry::Link(to) => Some((path, to.clone())),
            _ => None,
        });
        links.collect()
    }

    /// Returns where the first link in a directory leads.
    pub fn first_link<'a>(&'a self, dir: &'a Path) -> Option<&'a Path> {
        self.inside(dir).find_map(|(_, entry)| match entry {
            Entry::Link(to) => Some(to.as_path()),
            _ => None,
        })
    }

    /// Returns whether a directory has others in it.
    pub fn has_dirs(&self, dir: &Path) -> bool {
        self.inside(dir).any(|(_, entry)| matches!(entry, Entry::Dir(_)))
    }

    /// Returns whether something that the agent made is in a directory, however deep: it
    /// pins that.
    pub fn is_pinned(&self, dir: &Path) -> bool {
        self.inside(dir).any(|(path, entry)| match entry {
            Entry::Dir(dir) => dir.made || self.is_pinned(&path),
            Entry::Link(_) => true,
            Entry::File(_) => false,
        })
    }

    /// Returns where a path leads when its last link is followed.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Errno> {
        match self.get(path) {
            Some(Entry::Link(to)) => self.resolve(to),
            Some(_) => Ok(path.to_owned()),
            None => Err(Errno::ENOENT),
        }
    }

    /// Returns every path below a directory.
    pub fn below(&self, dir: &Path) -> Vec<PathBuf> {
        let each = self.inside(dir).flat_map(|(path, _)| {
            let below = self.below(&path);
            std::iter::once(path).chain(below)
        });
        each.collect()
    }
}
