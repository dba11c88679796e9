//! The program, with a test in the place of QEMU: vfio-user, memory, interrupts, control
//! socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code, helpers included"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tempfile::TempDir;
use understudy_hba::control::{Reply, Request};
use understudy_hba::firmware::{Fault, Switches, YieldedLogin};

const VERSION: u16 = 1;
const DMA_MAP: u16 = 2;
const DMA_UNMAP: u16 = 3;
const DEVICE_INFO: u16 = 4;
const REGION_INFO: u16 = 5;
const IRQ_INFO: u16 = 7;
const SET_IRQS: u16 = 8;
const READ: u16 = 9;
const WRITE: u16 = 10;
const RESET: u16 = 13;

const BAR: u32 = 1;
const CONFIG: u32 = 7;

/// The program, which ends with the test.
struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_understudy-hba"))
            .arg("--socket")
            .arg(path("pci"))
            .arg("--control")
            .arg(path("control"))
            .arg("--log")
            .arg(path("log"))
            .args(["--wwpn", "21:00:00:24:ff:00:00:01", "--until-stdin-closes"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, folder }
    }

    fn qemu(&self) -> Qemu {
        let mut qemu = Qemu::connect(&self.folder.path().join("pci"));
        let version = qemu.ask(VERSION, b"\0\0\0\0{}\0", &[]).unwrap();
        assert!(version.starts_with(&[0, 0, 0, 0, b'{']) && version.ends_with(&[0]));
        qemu
    }

    fn control(&self, request: &Request) -> Reply {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        self.control_line(&line)
    }

    fn control_line(&self, line: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(self.folder.path().join("control")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(line).unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    }

    /// Returns the processor time that the program has used, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
        fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// QEMU's end of the connection.
struct Qemu {
    stream: UnixStream,
    id: u16,
}

impl Qemu {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, id: 0 }
    }

    /// Sends a command, with files, in two parts.
    fn send(&mut self, command: u16, flags: u32, body: &[u8], files: &[&File]) {
        self.id += 1;
        let mut message = Vec::new();
        message.extend(self.id.to_ne_bytes());
        message.extend(command.to_ne_bytes());
        message.extend(u32::try_from(16 + body.len()).unwrap().to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        let fds: Vec<i32> = files.iter().map(|file| file.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let (first, rest) = message.split_at(message.len() - 1);
        let fd = self.stream.as_raw_fd();
        sendmsg::<()>(fd, &[IoSlice::new(first)], rights, MsgFlags::empty(), None)
            .unwrap();
        self.stream.write_all(rest).unwrap();
    }

    /// Has a command carried out. Returns the body of the reply, or its error.
    fn ask(
        &mut self,
        command: u16,
        body: &[u8],
        files: &[&File],
    ) -> Result<Vec<u8>, u32> {
        self.send(command, 0, body, files);
        let mut header = [0; 16];
        self.stream.read_exact(&mut header).unwrap();
        let word = |at: usize| {
            u32::from_ne_bytes([
                header[at],
                header[at + 1],
                header[at + 2],
                header[at + 3],
            ])
        };
        assert_eq!(header[..2], self.id.to_ne_bytes());
        let mut body = vec![0; word(4) as usize - 16];
        self.stream.read_exact(&mut body).unwrap();
        match word(8) {
            0x01 => Ok(body),
            0x21 => Err(word(12)),
            flags => panic!("flags {flags:#x}"),
        }
    }

    fn read(&mut self, region: u32, offset: u64, len: u32) -> Result<Vec<u8>, u32> {
        let reply = self.ask(READ, &access(region, offset, len, &[]), &[])?;
        Ok(reply[16..].to_vec())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), u32> {
        let len = u32::try_from(data.len()).unwrap();
        self.ask(WRITE, &access(region, offset, len, data), &[]).map(drop)
    }

    fn map(&mut self, address: u64, size: u64, file: Option<&File>) -> Result<(), u32> {
        let mut body = numbers(&[32, 3]);
        for value in [0, address, size] {
            body.extend(value.to_ne_bytes());
        }
        let files: Vec<&File> = file.into_iter().collect();
        self.ask(DMA_MAP, &body, &files).map(drop)
    }
}

fn numbers(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn access(region: u32, offset: u64, len: u32, data: &[u8]) -> Vec<u8> {
    let mut body = offset.to_ne_bytes().to_vec();
    body.extend(numbers(&[region, len]));
    body.extend(data);
    body
}

#[test]
fn a_qemu_finds_an_isp2532_and_runs_a_command() {
    let program = Program::start(&[]);
    let mut qemu = program.qemu();
    assert_eq!(qemu.ask(DEVICE_INFO, &[0; 16], &[]).unwrap(), numbers(&[16, 3, 9, 5]));
    let info =
        qemu.ask(REGION_INFO, &numbers(&[32, 0, BAR, 0, 0, 0, 0, 0]), &[]).unwrap();
    assert_eq!(info[16..24], 0x4000_u64.to_ne_bytes());
    let info = qemu.ask(IRQ_INFO, &numbers(&[16, 0, 1, 0]), &[]).unwrap();
    assert_eq!(info[12..16], 1_u32.to_ne_bytes(), "one MSI vector");
    assert_eq!(qemu.read(CONFIG, 0, 4).unwrap(), [0x77, 0x10, 0x32, 0x25]);

    let memory = tempfile::tempfile().unwrap();
    memory.set_len(0x1_0000).unwrap();
    qemu.map(0x10_0000, 0x1_0000, Some(&memory)).unwrap();
    qemu.map(0xc_0000, 0x1000, None).unwrap();
    let (mut bell, eventfd) = UnixStream::pair().unwrap();
    bell.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let eventfd = File::from(std::os::fd::OwnedFd::from(eventfd));
    qemu.ask(SET_IRQS, &numbers(&[20, 0x24, 1, 0, 1]), &[&eventfd]).unwrap();

    // A dump of the settings, by a posted doorbell.
    qemu.write(BAR, 0x0c, &8_u32.to_le_bytes()).unwrap();
    for (mailbox, value) in
        [(0, 0x0c_u16), (1, 0x8080), (8, 0x7ff4), (2, 0x10), (3, 0x40), (5, 128)]
    {
        qemu.write(BAR, 0x80 + 2 * mailbox, &value.to_le_bytes()).unwrap();
    }
    let doorbell = access(BAR, 0x48, 4, &0x5000_0000_u32.to_le_bytes());
    qemu.send(WRITE, 1 << 4, &doorbell, &[]);
    bell.read_exact(&mut [0; 8]).unwrap();
    let status = qemu.read(BAR, 0x44, 4).unwrap();
    assert_eq!(status[1] & 0x80, 0x80);
    assert_eq!(qemu.read(BAR, 0x80, 2).unwrap(), 0x4000_u16.to_le_bytes());
    let mut settings = [0; 8];
    memory.read_exact_at(&mut settings, 0x40 + 20).unwrap();
    assert_eq!(settings, 0x2100_0024_ff00_0001_u64.to_be_bytes());

    let mut gone = numbers(&[24, 0]);
    gone.extend(0x10_0000_u64.to_ne_bytes());
    gone.extend(0x1_0000_u64.to_ne_bytes());
    qemu.ask(DMA_UNMAP, &gone, &[]).unwrap();
    assert_eq!(qemu.ask(DMA_UNMAP, &gone, &[]), Err(22));
    qemu.ask(RESET, &[], &[]).unwrap();
    assert_eq!(qemu.read(BAR, 0x44, 4).unwrap(), [0; 4]);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let program = Program::start(&[]);
    let mut qemu = program.qemu();
    assert_eq!(qemu.read(BAR, 0x4000, 4), Err(22));
    assert_eq!(qemu.read(BAR, u64::MAX, 4), Err(22));
    assert_eq!(qemu.read(3, 0, 4), Err(22));
    assert_eq!(qemu.ask(READ, &access(BAR, 0, u32::MAX, &[]), &[]), Err(22));
    assert_eq!(
        qemu.ask(WRITE, &access(BAR, 0, 8, &[1]), &[]),
        Err(22),
        "data is missing"
    );
    assert_eq!(qemu.ask(READ, &[1, 2, 3], &[]), Err(22));
    assert_eq!(qemu.ask(11, &[], &[]), Err(95));
    assert_eq!(qemu.ask(SET_IRQS, &numbers(&[20, 0x22, 1, 0, 1]), &[]), Err(95));
    assert_eq!(qemu.map(0, 0, None), Err(22));
    // A guest goes on after all of these. One that does not speak the language is cut off,
    // and the next is served.
    assert_eq!(qemu.read(CONFIG, 0, 2).unwrap(), [0x77, 0x10]);
    qemu.stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(qemu.stream.read(&mut [0; 16]).unwrap_or(0), 0);
    assert_eq!(program.qemu().read(CONFIG, 0, 2).unwrap(), [0x77, 0x10]);
}

#[test]
fn the_control_socket_shows_and_changes_the_hba() {
    let completed = "yielded_login=\"completed\"";
    let program =
        Program::start(&["--switch", "disable_disabled=5", "--switch", completed]);
    let state = program.control(&Request::State).state.unwrap();
    assert_eq!((state.guest, state.fabric, state.light), (false, false, true));
    assert_eq!((state.ports.len(), state.switches.disable_disabled), (0, 5));
    assert_eq!(state.switches.yielded_login, YieldedLogin::Completed);
    let switch = b"{\"cmd\":\"switch\",\"switches\":{\"handles_in_turn\":true}}\n";
    assert!(program.control_line(switch).ok);
    let switches = program.control(&Request::State).state.unwrap().switches;
    assert_eq!(switches, Switches { handles_in_turn: true, ..Switches::default() });
    let _qemu = program.qemu();
    assert!(program.control(&Request::State).state.unwrap().guest);
    assert!(program.control(&Request::Light { on: false }).ok);
    assert!(!program.control(&Request::State).state.unwrap().light);
    assert!(program.control(&Request::Inject(Fault::SystemError)).ok);
    let events = program.control(&Request::Events { after: 0 }).events.unwrap();
    assert_eq!((events.len(), events[0].seq), (1, 1));
    let strike = b"{\"cmd\":\"strike\",\"direction\":\"in\",\"frame\":{\"els\":3},\"held_ms\":5}\n";
    assert!(program.control_line(strike).ok);
    let events = program.control(&Request::Events { after: 1 }).events.unwrap();
    assert!(format!("{events:?}").contains("Held(5ms)"), "{events:?}");
    let error = program.control_line(b"{\"cmd\":\"fly\"}\n").error.unwrap();
    assert!(error.contains("fly"), "{error}");
    assert!(program.control(&Request::Quit).ok);
}

#[test]
fn a_fabric_that_goes_is_asked_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fabric");
    let listener = UnixListener::bind(&path).unwrap();
    let program = Program::start(&["--fabric", path.to_str().unwrap()]);
    let has_fabric = || program.control(&Request::State).state.unwrap().fabric;
    let (cable, _) = listener.accept().unwrap();
    assert!(has_fabric());
    drop(cable);
    let (mut cable, _) = listener.accept().unwrap();
    assert!(has_fabric());
    // A length that no frame has.
    cable.write_all(&u32::MAX.to_be_bytes()).unwrap();
    listener.accept().unwrap();
}

#[test]
fn an_idle_hba_costs_no_processor_time() {
    let program = Program::start(&[]);
    let mut qemu = program.qemu();
    qemu.read(CONFIG, 0, 4).unwrap();
    let before = program.ticks();
    std::thread::sleep(Duration::from_secs(2));
    assert!(program.ticks() - before <= 1, "{}", program.ticks() - before);
}
