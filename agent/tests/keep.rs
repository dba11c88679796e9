//! The keeper, as LIO uses it: when a write has ended, its text is on the device.
//!
//! Only root may mount, and not on every machine. Where nothing can be mounted, only the
//! lab tries this.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::mount::{MntFlags, umount2};
use understudy_core::kernel::state;
use understudy_core::lio;

/// The node name of the group: the keeper's directory has that name.
const WWNN: &str = "200175640000000a";
const ONE: &str = "PR_REG_START: 0\nsa_res_key=1\nPR_REG_END: 0\n";

/// A keeper with its device and its directory. It ends with the test.
struct Keeper {
    process: Child,
    room: tempfile::TempDir,
}

impl Keeper {
    /// Starts a keeper on a device that `device` prepares. Returns `None` where nothing
    /// can be mounted.
    fn start(device: impl FnOnce(&Path)) -> Option<Result<Self, String>> {
        let may = nix::unistd::geteuid().is_root() && File::open("/dev/fuse").is_ok();
        if !may {
            return None;
        }
        let room = tempfile::tempdir().unwrap();
        device(&room.path().join("device"));
        fs::create_dir(room.path().join(WWNN)).unwrap();
        Some(Self::resume(room))
    }

    fn resume(room: tempfile::TempDir) -> Result<Self, String> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .arg("keep")
            .args([room.path().join("device"), room.path().join(WWNN)])
            .env("UNDERSTUDY_ROOT", room.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        match said.as_str() {
            "ready\n" => Ok(Self { process, room }),
            _ => Err(said),
        }
    }

    fn file(&self, serial: &str) -> PathBuf {
        self.room.path().join(WWNN).join(format!("aptpl_{serial}"))
    }

    /// Writes a file as LIO does (`__core_scsi3_write_aptpl_to_file`).
    fn write(&self, serial: &str, text: &str) -> std::io::Result<()> {
        self.open(serial)?.write_all(format!("{text}\0").as_bytes())
    }

    fn open(&self, serial: &str) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(self.file(serial))
    }

    /// Has LIO show an attribute of the backstore of LUN 3.
    fn lio_shows(&self, attribute: &str, text: &str) {
        let path = lio::backstore_path(WWNN.parse().unwrap(), 3).join(attribute);
        let path = self.room.path().join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Has LIO show the keys of two initiators as registered.
    fn lio_has(&self, a: u64, b: u64) {
        let lines = format!(
            "SPC-3 PR Registrations:\n\
             fc Node: a Key: 0x{a:016x} PRgen: 0x00000001\n\
             fc Node: b Key: 0x{b:016x} PRgen: 0x00000002\n"
        );
        self.lio_shows("pr/res_pr_registered_i_pts", &lines);
    }

    fn kept(&self) -> Vec<(String, String)> {
        let records = state::load(&self.room.path().join("device")).unwrap().into_iter();
        records.map(|record| (record.serial, record.text)).collect()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH;
        let _ = umount2(&self.room.path().join(WWNN), flags);
    }
}

fn blank(path: &Path) {
    File::create(path).unwrap().set_len(4 << 20).unwrap();
}

fn of(serial: &str, text: &str) -> (String, String) {
    (serial.to_owned(), text.to_owned())
}

#[test]
fn what_was_written_is_on_the_device() {
    let Some(keeper) = Keeper::start(blank) else { return };
    let mut keeper = keeper.unwrap();
    let long = ONE.repeat(4000);
    for (serial, text) in [("a", ONE), ("b", &long), ("a", &long), ("b", ONE)] {
        keeper.write(serial, text).unwrap();
        assert!(keeper.kept().contains(&of(serial, text)), "{serial}");
        assert_eq!(fs::read_to_string(keeper.file(serial)).unwrap(), text);
    }
    keeper.write("b", "No Registrations or Reservations").unwrap();
    assert_eq!(keeper.kept(), [of("a", &long), of("b", "")]);

    // What is on its way when power is lost is nothing yet.
    let mut half = OpenOptions::new();
    let mut half = half.write(true).truncate(true).open(keeper.file("a")).unwrap();
    half.write_all(ONE.as_bytes()).unwrap();
    assert_eq!(keeper.kept(), [of("a", &long), of("b", "")]);

    // A keeper that was killed takes no write, and the device still has all that was
    // written.
    keeper.process.kill().unwrap();
    keeper.process.wait().unwrap();
    keeper.write("a", ONE).unwrap_err();
    assert_eq!(keeper.kept(), [of("a", &long), of("b", "")]);
}

/// Checks what two commands at once write, on two ports of a group or in two threads of a
/// driver.
#[test]
fn no_writer_disturbs_another() {
    let Some(keeper) = Keeper::start(blank) else { return };
    let keeper = keeper.unwrap();
    let other = ONE.replace("key=1", "key=2");
    let mut first = keeper.open("a").unwrap();
    first.write_all(&ONE.as_bytes()[..20]).unwrap();
    let mut second = keeper.open("a").unwrap();
    second.write_all(other.as_bytes()).unwrap();
    first.write_all(format!("{}\0", &ONE[20..]).as_bytes()).unwrap();
    assert_eq!(keeper.kept(), [of("a", ONE)]);
    second.write_all(b"\0").unwrap();
    assert_eq!(keeper.kept(), [of("a", &other)]);
}

/// Checks that the keys of a text that LIO made first and writes last do not replace
/// those that LIO has answered since.
#[test]
fn a_late_text_does_not_undo_what_was_answered() {
    let Some(keeper) = Keeper::start(blank) else { return };
    let keeper = keeper.unwrap();
    let keys = |a: u64, b: u64| {
        let each = [("a", a), ("b", b)].into_iter().enumerate().map(|(n, (who, key))| {
            format!(
                "PR_REG_START: {n}\ninitiator_node={who}\nsa_res_key={key}\n\
                 res_holder=0\ntarget_lun=3\nPR_REG_END: {n}\n"
            )
        });
        each.collect::<String>()
    };
    let none = "No Registrations or Reservations\n";
    keeper.lio_shows("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: s\n");
    keeper.lio_has(8, 4);
    for (text, stored) in [(keys(8, 3), keys(8, 4)), (keys(7, 4), keys(8, 4))] {
        keeper.write("s", &text).unwrap();
        assert_eq!(keeper.kept(), [of("s", &stored)]);
    }

    // Both initiators have registered again after CLEAR, and that was answered.
    keeper.lio_shows("attrib/force_pr_aptpl", "1\n");
    keeper.write("s", none).unwrap();
    assert_eq!(keeper.kept(), [of("s", &keys(8, 4))]);

    // Where LIO does not preserve everything, such a text may also mean that nothing is to
    // be preserved.
    keeper.lio_shows("attrib/force_pr_aptpl", "0\n");
    keeper.write("s", none).unwrap();
    assert_eq!(keeper.kept(), [of("s", "")]);

    // Memory of another LUN says nothing.
    keeper.write("t", &keys(7, 4)).unwrap();
    assert_eq!(keeper.kept()[0], of("t", &keys(7, 4)));
}

#[test]
fn nobody_can_have_another_file_there() {
    let Some(keeper) = Keeper::start(blank) else { return };
    let keeper = keeper.unwrap();
    let dir = keeper.room.path().join(WWNN);
    for name in ["x", "aptpl_", "aptpl_a.b"] {
        File::create(dir.join(name)).unwrap_err();
    }
    fs::create_dir(dir.join("aptpl_a")).unwrap_err();
    assert_eq!(keeper.kept(), []);
}

#[test]
fn it_says_what_is_wrong_with_a_device() {
    let full = |path: &Path| fs::write(path, vec![7; 4 << 20]).unwrap();
    let Some(keeper) = Keeper::start(full) else { return };
    let said = keeper.err().unwrap();
    assert!(said.contains("data of something else"), "{said}");
}
