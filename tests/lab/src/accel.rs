//! How the guests' processors run: on the machine's own if that works, emulated if not.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use crate::child;
use crate::emulator::Emulator;

/// The processor that emulated guests see: a plain model, for two reasons.
///
/// glibc and the kernel would use AVX where there is any, and emulated AVX is slow: a
/// boot takes a quarter less work than with `max`.
///
/// cmpxchg16b is left out, because a guest's kernel uses it for every allocation. Under
/// QEMU 7.2 a guest died of a double fault just behind that instruction, with half an
/// address in its flags.
const PLAIN_CPU: &str = "qemu64,-svm,-cx16,+popcnt,+rdrand,+sse4.1,+sse4.2,+ssse3";

/// KVM, or QEMU's own emulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The machine's own processor.
    Kvm,
    /// Software emulation: ten times slower, everywhere available.
    Tcg,
}

impl Accel {
    /// Returns KVM where the processor has vmx or svm and QEMU can really use it. The
    /// device node alone proves nothing.
    #[must_use]
    pub fn probe(emulator: &Emulator) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if has_virtualization(&cpuinfo) && qemu_starts_with_kvm(emulator) {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }

    /// Returns QEMU's arguments.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=single,tb-size=192", "-cpu", PLAIN_CPU],
        }
    }
}

fn has_virtualization(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .any(|line| line.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

fn qemu_starts_with_kvm(emulator: &Emulator) -> bool {
    let mut command = emulator.machine();
    command
        .args(["-machine", "none,accel=kvm", "-nodefaults", "-display", "none"])
        .args(["-qmp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut qemu) = child::spawn(command) else { return false };
    let Some(mut input) = qemu.streams().stdin.take() else { return false };
    let quit = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
    if input.write_all(quit).is_err() {
        return false;
    }
    qemu.wait(Duration::from_secs(10)).is_some_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_a_flag_of_its_own() {
        assert!(has_virtualization("processor : 0\nflags\t\t: fpu svm sse2\n"));
        assert!(!has_virtualization("flags\t\t: fpu svm_lock\nmodel name : vmx\n"));
    }
}
