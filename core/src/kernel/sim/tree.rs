//! Directories, attributes and links, with what configfs and the FC transport do when one
//! comes or goes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::kernel::op::Done;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// Made by mkdir, or there from the start.
    Dir {
        made: bool,
    },
    File(String),
    Link(PathBuf),
}

#[derive(Debug, Default)]
pub struct Tree(BTreeMap<PathBuf, Node>);

const TARGET: &str = "/sys/kernel/config/target";

impl Tree {
    pub fn dir(&mut self, path: &str) {
        for dir in Path::new(path).ancestors() {
            self.0.entry(dir.into()).or_insert(Node::Dir { made: false });
        }
    }

    pub fn file(&mut self, path: &str, text: &str) {
        if let Some(parent) = Path::new(path).parent() {
            self.dir(&parent.to_string_lossy());
        }
        self.0.insert(path.into(), Node::File(text.into()));
    }

    pub fn link(&mut self, at: &str, to: &str) {
        if let Some(parent) = Path::new(at).parent() {
            self.dir(&parent.to_string_lossy());
        }
        self.0.insert(at.into(), Node::Link(to.into()));
    }

    pub fn forget(&mut self, path: &Path) {
        self.0.retain(|p, _| !p.starts_with(path));
    }

    pub fn below(&self, dir: &Path) -> Vec<PathBuf> {
        self.0.keys().filter(|p| p.starts_with(dir) && *p != dir).cloned().collect()
    }

    pub fn exists(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    pub fn read(&self, path: &Path) -> Result<String, Errno> {
        match self.0.get(path) {
            Some(Node::File(text)) => Ok(text.clone()),
            Some(_) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    pub fn list(&self, dir: &Path) -> Vec<String> {
        let children = self.0.keys().filter(|path| path.parent() == Some(dir));
        children
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect()
    }

    pub fn links(&self, dir: &Path) -> Vec<(PathBuf, PathBuf)> {
        let inside = self.0.iter().filter(|(path, _)| path.parent() == Some(dir));
        inside
            .filter_map(|(path, node)| match node {
                Node::Link(to) => Some((path.clone(), to.clone())),
                _ => None,
            })
            .collect()
    }

    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Errno> {
        match self.0.get(path) {
            Some(Node::Link(to)) => self.resolve(to),
            Some(_) => Ok(path.to_owned()),
            None => Err(Errno::ENOENT),
        }
    }

    pub fn make_dir(&mut self, path: &Path) -> Result<Done, Errno> {
        if self.exists(path) {
            return Ok(Done::Unchanged);
        }
        if !path.parent().is_some_and(|parent| self.exists(parent)) {
            return Err(Errno::ENOENT);
        }
        self.0.insert(path.into(), Node::Dir { made: true });
        // What the kernel puts into a new directory.
        let text = path.to_string_lossy();
        let depth = path.strip_prefix(TARGET).map_or(0, |p| p.components().count());
        if text.starts_with(&format!("{TARGET}/core/")) && depth == 3 {
            for (attribute, value) in [
                ("control", ""),
                ("udev_path", "\n"),
                ("enable", "0\n"),
                ("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: \n"),
                ("alua/default_tg_pt_gp/alua_access_state", "0\n"),
            ] {
                self.file(&format!("{text}/{attribute}"), value);
            }
        } else if text.ends_with("/tpgt_1") {
            self.dir(&format!("{text}/lun"));
            self.dir(&format!("{text}/acls"));
        }
        Ok(Done::Changed)
    }

    pub fn remove_dir(&mut self, path: &Path) -> Result<Done, Errno> {
        if !self.exists(path) {
            return Ok(Done::Unchanged);
        }
        let kept = |(p, node): (&PathBuf, &Node)| {
            let ours = matches!(node, Node::Dir { made: true } | Node::Link(_));
            p != path && p.starts_with(path) && ours
        };
        if self.0.iter().any(kept) {
            return Err(Errno::ENOTEMPTY);
        }
        let linked = |node: &Node| matches!(node, Node::Link(to) if to == path);
        if self.0.values().any(linked) {
            return Err(Errno::EBUSY);
        }
        self.forget(path);
        Ok(Done::Changed)
    }

    pub fn make_link(&mut self, at: &Path, to: &Path) -> Result<Done, Errno> {
        match self.0.get(at) {
            Some(Node::Link(there)) if there == to => return Ok(Done::Unchanged),
            Some(_) => return Err(Errno::EEXIST),
            None => {}
        }
        if !self.exists(to) || !at.parent().is_some_and(|dir| self.exists(dir)) {
            return Err(Errno::ENOENT);
        }
        // A backstore has to be enabled first (target_fabric_port_link).
        if self.read(&to.join("enable")).is_ok_and(|text| text.trim() != "1") {
            return Err(Errno::ENODEV);
        }
        self.0.insert(at.into(), Node::Link(to.into()));
        Ok(Done::Changed)
    }

    pub fn unlink(&mut self, path: &Path) -> Result<Done, Errno> {
        let port = path.strip_prefix(format!("{TARGET}/fc"));
        let port = port.ok().and_then(|p| p.iter().next()).unwrap_or_default();
        let name = port.to_string_lossy().replace(':', "");
        let live = self.0.iter().any(|(p, node)| {
            let vport = p.starts_with("/sys/class/fc_vports");
            vport && matches!(node, Node::File(text) if *text == format!("0x{name}\n"))
        });
        assert!(!live, "a LUN is unmapped under a live port: an I/O error");
        match self.0.remove(path) {
            Some(_) => Ok(Done::Changed),
            None => Ok(Done::Unchanged),
        }
    }

    pub fn write(&mut self, path: &Path, text: &str, state: &str) -> Result<Done, Errno> {
        if !matches!(self.0.get(path), Some(Node::File(_))) {
            return Err(Errno::ENOENT);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.as_str() {
            "vport_create" => return self.create_vport(text, state),
            "vport_delete" => return self.delete_vport(text),
            "enable" => {
                let dir = path.parent().unwrap_or(path);
                let control = self.read(&dir.join("control"))?;
                if !control.starts_with("udev_path=/dev/") {
                    return Err(Errno::EINVAL);
                }
            }
            _ => {}
        }
        let value = match name.as_str() {
            "vpd_unit_serial" => format!("T10 VPD Unit Serial Number: {text}\n"),
            _ => format!("{text}\n"),
        };
        self.0.insert(path.into(), Node::File(value));
        Ok(Done::Changed)
    }

    fn create_vport(&mut self, names: &str, state: &str) -> Result<Done, Errno> {
        let (wwpn, wwnn) = names.split_once(':').ok_or(Errno::EINVAL)?;
        if wwpn.len() != 16 || wwnn.len() != 16 {
            return Err(Errno::EINVAL);
        }
        let (_, number) = self.vport_of(wwpn);
        let number = match number {
            Some(_) => return Err(Errno::EINVAL),
            None => self.list(Path::new("/sys/class/fc_vports")).len(),
        };
        let vport = format!("/sys/class/fc_vports/vport-2:0-{number}");
        let host = format!("/sys/class/fc_host/host{}", 3 + number);
        self.file(&format!("{vport}/port_name"), &format!("0x{wwpn}\n"));
        self.file(&format!("{vport}/node_name"), &format!("0x{wwnn}\n"));
        self.file(&format!("{vport}/vport_state"), &format!("{state}\n"));
        self.file(&format!("{host}/port_name"), &format!("0x{wwpn}\n"));
        let online = if state == "Active" { "Online\n" } else { "Offline\n" };
        self.file(&format!("{host}/port_state"), online);
        self.file(&format!("{host}/port_id"), "0x010201\n");
        Ok(Done::Changed)
    }

    fn vport_of(&self, wwpn: &str) -> (String, Option<String>) {
        let text = format!("0x{wwpn}\n");
        let named = |dir: &str| {
            let names = self.list(Path::new(dir));
            names.into_iter().find(|name| {
                let path = Path::new(dir).join(name).join("port_name");
                self.read(&path).is_ok_and(|name| name == text)
            })
        };
        let host = named("/sys/class/fc_host").unwrap_or_default();
        (host, named("/sys/class/fc_vports"))
    }

    fn delete_vport(&mut self, names: &str) -> Result<Done, Errno> {
        let (wwpn, _) = names.split_once(':').ok_or(Errno::EINVAL)?;
        let (host, Some(vport)) = self.vport_of(wwpn) else { return Err(Errno::ENODEV) };
        self.forget(&Path::new("/sys/class/fc_vports").join(vport));
        self.forget(&Path::new("/sys/class/fc_host").join(host));
        Ok(Done::Changed)
    }
}
