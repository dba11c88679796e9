//! Requests to multipathd. It registers a path that comes or comes back before commands
//! can use the path (`mpath_pr_event_handle` in multipathd/main.c of multipath-tools), if
//! it knows the key. If its configuration says `reservation_key file`, understudy can
//! give it the key of each device. It must also be told that the device is registered.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::kernel::nexus::name;
use crate::kernel::op::{Done, Op};
use crate::kernel::reservation::Key;
use crate::kernel::{Cause, KernelError};

/// The abstract name of multipathd's socket (libmpathcmd/mpath_cmd.h).
const SOCKET: &str = "/org/kernel/linux/storage/multipathd";
/// How long multipathd may take to answer. Its own checks of paths may delay the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes.
const MOST: usize = 1 << 20;

/// Makes multipathd register each path of a device that comes from now on, with this key.
///
/// # Errors
/// When multipathd does not answer, or does not take the key.
pub(crate) fn keep(disk: &Path, key: Key, op: &Op) -> Result<Done, KernelError> {
    let map = name(disk);
    let failed = |why: String| op.failed(Cause::Device(why));
    let wanted = format!("{:#x}", key.0);
    let key_now = || ask(&format!("getprkey map {map}")).map_err(failed);
    if key_now()? != wanted {
        ask(&format!("setprkey map {map} key {wanted}")).map_err(failed)?;
        let now = key_now()?;
        if now != wanted {
            return Err(failed(format!("multipathd goes on with the key {now}")));
        }
    }
    ask(&format!("setprstatus map {map}")).map_err(failed).map(|_| Done::Changed)
}

/// Checks that multipathd takes the keys of devices from a file, so that understudy can
/// give it keys.
///
/// # Errors
/// When its configuration says otherwise, or multipathd does not answer.
pub(crate) fn hear(op: &Op) -> Result<Done, KernelError> {
    let failed = |why: String| op.failed(Cause::Device(why));
    let told = ask("show config").map_err(failed)?;
    let is_file = |line: &str| {
        line.split_whitespace().eq(["reservation_key", "file"])
            || line.split_whitespace().eq(["reservation_key", "\"file\""])
    };
    match told.lines().any(is_file) {
        true => Ok(Done::Unchanged),
        false => Err(failed("its configuration has no reservation_key file".into())),
    }
}

/// Makes multipathd give a device the size that its paths have now.
///
/// # Errors
/// In words: why it did not.
pub(crate) fn resize(map: &str) -> Result<(), String> {
    ask(&format!("resize map {map}")).map(drop)
}

/// Makes multipathd stop registering the paths of a device. If multipathd is not running,
/// it registers none anyway.
pub(crate) fn forget(disk: &Path) {
    let _ = ask(&format!("unsetprstatus map {}", name(disk)));
}

/// Whether multipathd has failed to answer this process. Then it is not asked again,
/// because a stop with a thousand disks has no time to wait a thousand times.
static SILENT: AtomicBool = AtomicBool::new(false);

fn ask(command: &str) -> Result<String, String> {
    ask_at(SOCKET, &SILENT, command)
}

/// Returns the answer to a command, without its line end, or in words why there is none.
fn ask_at(socket: &str, silent: &AtomicBool, command: &str) -> Result<String, String> {
    if silent.load(Ordering::Relaxed) {
        return Err("multipathd did not answer before".into());
    }
    let answer = exchange(socket, command).map_err(|error| {
        silent.store(true, Ordering::Relaxed);
        format!("multipathd: {error}")
    })?;
    match answer.trim_end_matches(['\0', '\n']) {
        "fail" => Err(format!("multipathd refused: {command}")),
        said => Ok(said.to_owned()),
    }
}

/// Sends a command and receives the answer. Each is a length, in the processor's byte
/// order, followed by the text.
fn exchange(socket: &str, command: &str) -> std::io::Result<String> {
    let address = SocketAddr::from_abstract_name(socket)?;
    let mut stream = UnixStream::connect_addr(&address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let text = format!("{command}\0");
    stream.write_all(&text.len().to_ne_bytes())?;
    stream.write_all(text.as_bytes())?;
    let mut length = [0; size_of::<usize>()];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from_ne_bytes(length).min(MOST)];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Returns the name of a socket for one test, and its listener.
    fn socket(test: &str) -> (String, UnixListener) {
        let name = format!("understudy-{test}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        (name, UnixListener::bind_addr(&address).unwrap())
    }

    #[test]
    fn one_that_is_silent_is_waited_for_once() {
        let ((name, _listener), silent) = (socket("silent"), AtomicBool::new(false));
        let first = ask_at(&name, &silent, "getprkey map dm-0").unwrap_err();
        assert!(first.starts_with("multipathd: "), "{first}");
        let second = ask_at(&name, &silent, "getprkey map dm-1").unwrap_err();
        assert_eq!(second, "multipathd did not answer before");
    }

    #[test]
    fn an_answer_is_a_length_and_a_text() {
        let ((name, listener), silent) = (socket("answers"), AtomicBool::new(false));
        let answers = std::thread::spawn(move || {
            for answer in ["0x7553e0e23448c758\n\0", "fail\n\0"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut length = [0; size_of::<usize>()];
                stream.read_exact(&mut length).unwrap();
                let mut command = vec![0; usize::from_ne_bytes(length)];
                stream.read_exact(&mut command).unwrap();
                assert_eq!(command, b"getprkey map dm-0\0");
                stream.write_all(&answer.len().to_ne_bytes()).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let ask = || ask_at(&name, &silent, "getprkey map dm-0");
        assert_eq!(ask().as_deref(), Ok("0x7553e0e23448c758"));
        assert!(ask().unwrap_err().contains("refused"));
        answers.join().unwrap();
        assert!(!silent.into_inner());
    }
}
