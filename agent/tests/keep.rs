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
        fs::create_dir(room.path().join("at")).unwrap();
        Some(Self::resume(room))
    }

    fn resume(room: tempfile::TempDir) -> Result<Self, String> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_understudy"))
            .arg("keep")
            .args([room.path().join("device"), room.path().join("at")])
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
        self.room.path().join("at").join(format!("aptpl_{serial}"))
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
        let _ = umount2(&self.room.path().join("at"), flags);
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

#[test]
fn nobody_can_have_another_file_there() {
    let Some(keeper) = Keeper::start(blank) else { return };
    let keeper = keeper.unwrap();
    let dir = keeper.room.path().join("at");
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
