//! The limit of every agent: only what a start and a stop of a group must ask of the
//! kernel.
//!
//! Nothing is looked at first, and nothing is checked afterwards. LUNs are made side by
//! side, with grace periods expedited. What an agent takes beyond this time is the
//! agent's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use understudy_lab::bench::{INITIATOR, WWNN, WWPN, disk};

const CORE: &str = "/sys/kernel/config/target/core/iblock_7777";
const FABRIC: &str = "/sys/kernel/config/target/fc";
const EXPEDITED: &str = "/sys/kernel/rcu_expedited";

type Done = Result<(), String>;

/// The attributes that say what a LUN looks like, with the values that the agent writes.
/// They stand here once more, because none of the agent's code runs in the measured loop.
const PRESENTED: [(&str, &str); 7] = [
    ("wwn/vendor_id", "LIO-ORG"),
    ("wwn/product_id", "IBLOCK"),
    ("wwn/revision", "4.0"),
    ("attrib/is_nonrot", "1"),
    ("attrib/max_write_same_len", "65535"),
    ("attrib/emulate_tpu", "0"),
    ("attrib/emulate_tpws", "0"),
];

/// Starts or stops a group of this many LUNs, in this many threads.
pub fn limit(action: &str, luns: usize, lanes: usize) -> Done {
    match action {
        "start" => start(luns, lanes),
        "stop" => stop(luns, lanes),
        _ => Err(format!("{action}: start or stop")),
    }
}

fn start(luns: usize, lanes: usize) -> Done {
    let (port, acl) = (port(), acl());
    write(EXPEDITED, "1")?;
    for dir in [CORE.into(), FABRIC.into(), port.clone(), tpg(), acl.clone()] {
        match fs::create_dir(&dir) {
            Err(e) if dir != Path::new(FABRIC) => return failed("mkdir", &dir, &e),
            _ => {}
        }
    }
    side_by_side(luns, lanes, |lun| {
        let store = Path::new(CORE).join(format!("lun_{lun}"));
        make(&store)?;
        write(store.join("control"), &format!("udev_path={}", disk(lun)))?;
        write(store.join("udev_path"), &disk(lun))?;
        write(store.join("wwn/vpd_unit_serial"), &format!("{lun:032x}"))?;
        write(store.join("enable"), "1")?;
        for (name, value) in PRESENTED {
            write(store.join(name), value)?;
        }
        let exported = tpg().join("lun").join(format!("lun_{lun}"));
        link(&exported, &store)?;
        link(&acl.join(format!("lun_{lun}")), &exported)
    })?;
    write(EXPEDITED, "0")?;
    write(host()?.join("vport_create"), &format!("{}:{}", hex(WWPN), hex(WWNN)))?;
    let vport = vport()?;
    while read(&vport.join("vport_state"))?.trim() != "Active" {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn stop(luns: usize, lanes: usize) -> Done {
    let acl = acl();
    side_by_side(luns, lanes, |lun| {
        let store = Path::new(CORE).join(format!("lun_{lun}"));
        write(store.join("alua/default_tg_pt_gp/alua_access_state"), "15")
    })?;
    write(host()?.join("vport_delete"), &format!("{}:{}", hex(WWPN), hex(WWNN)))?;
    write(EXPEDITED, "1")?;
    side_by_side(luns, lanes, |lun| {
        unlink(&acl.join(format!("lun_{lun}")))?;
        unlink(&tpg().join("lun").join(format!("lun_{lun}")))?;
        remove(&Path::new(CORE).join(format!("lun_{lun}")))
    })?;
    for dir in [acl, tpg(), port(), CORE.into()] {
        remove(&dir)?;
    }
    write(EXPEDITED, "0")
}

/// Runs `work` for every LUN, in this many threads.
fn side_by_side(luns: usize, lanes: usize, work: impl Fn(usize) -> Done + Sync) -> Done {
    let next = AtomicUsize::new(0);
    let lane = || {
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                lun if lun < luns => work(lun)?,
                _ => return Ok(()),
            }
        }
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        let join = |lane: thread::ScopedJoinHandle<'_, Done>| {
            lane.join().unwrap_or_else(|_| Err("a thread panicked".into()))
        };
        lanes.into_iter().try_for_each(join)
    })
}

fn port() -> PathBuf {
    Path::new(FABRIC).join(WWPN)
}

fn tpg() -> PathBuf {
    port().join("tpgt_1")
}

fn acl() -> PathBuf {
    tpg().join("acls").join(INITIATOR)
}

fn hex(wwn: &str) -> String {
    wwn.replace(':', "")
}

/// Returns the physical port, if exactly one is there.
fn host() -> Result<PathBuf, String> {
    let hosts = Path::new("/sys/class/fc_host");
    entries(hosts)?
        .into_iter()
        .find(|host| host.join("vport_create").exists())
        .ok_or_else(|| format!("no physical port in {}", hosts.display()))
}

fn vport() -> Result<PathBuf, String> {
    let vports = Path::new("/sys/class/fc_vports");
    let first = entries(vports)?.into_iter().next();
    first.ok_or_else(|| format!("no virtual port in {}", vports.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let list = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    list.or_else(|e| failed("list", dir, &e))
}

fn make(dir: &Path) -> Done {
    fs::create_dir(dir).or_else(|e| failed("mkdir", dir, &e))
}

fn remove(dir: &Path) -> Done {
    fs::remove_dir(dir).or_else(|e| failed("rmdir", dir, &e))
}

fn link(dir: &Path, to: &Path) -> Done {
    make(dir)?;
    symlink(to, dir.join("link")).or_else(|e| failed("link in", dir, &e))
}

fn unlink(dir: &Path) -> Done {
    let link = dir.join("link");
    fs::remove_file(&link).or_else(|e| failed("unlink", &link, &e))?;
    remove(dir)
}

fn write(path: impl AsRef<Path>, text: &str) -> Done {
    let path = path.as_ref();
    fs::write(path, text).or_else(|e| failed("write", path, &e))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).or_else(|e| failed("read", path, &e))
}

fn failed<T>(what: &str, path: &Path, error: &std::io::Error) -> Result<T, String> {
    Err(format!("{what} {}: {error}", path.display()))
}
