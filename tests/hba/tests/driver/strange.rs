//! An initiator and a target that do anything at any time: each command is answered once,
//! and its data stays in its place.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use understudy_fabric::frame::FcHeader;
use understudy_hba::chip::iocb::kind;
use understudy_hba::fields::{Entry, Fields, id_bytes};
use understudy_hba::firmware::{Switches, YieldedLogin};

use crate::crossing::login;
use crate::driver::{DATA, Mode, Seen, segment};
use crate::pair::{HANDLE, Pair, answer};
use crate::target::{ctio, with_data};
use crate::trouble::seek;

/// How long this test may look for trouble.
const LIMIT: Duration = Duration::from_secs(6);
/// The room that each command has. Its data is in the first half.
const SLOT: u64 = 0x1000;
/// The most commands of a game. Each has a slot.
const SLOTS: u32 = 60;

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    /// The initiator sends a command, with its data in segments.
    Command {
        flags: u16,
        lens: Vec<u32>,
        wrong: bool,
    },
    Manage(u32),
    Abort(usize),
    /// The initiator logs in to the target, or out of it. The target may do so at once.
    Log {
        flags: u16,
        back: Option<u16>,
    },
    /// The target's driver goes on with a command.
    Answer {
        which: usize,
        flags: u16,
        offset: u32,
        len: u32,
    },
    /// A frame comes that answers a command, perhaps.
    Forge {
        which: usize,
        r_ctl: u8,
        f_ctl: u32,
        parameter: u32,
        payload: Vec<u8>,
    },
    Seconds(u64),
    Cable(bool),
    Reset,
}

fn act() -> impl Strategy<Value = Act> {
    let lens = prop::collection::vec(0..300_u32, 0..7);
    let command = (prop_oneof![9 => 0..3_u16, 1 => Just(3)], lens, 0..20_u8)
        .prop_map(|(flags, lens, wrong)| Act::Command { flags, lens, wrong: wrong == 0 });
    let flags = prop::sample::select(vec![1, 2, 0x8002, 0x8000, 0x8000, 0x4000]);
    let small = prop_oneof![3 => Just(0_u32), 3 => 0..2000_u32, 1 => any::<u32>()];
    let answer = (any::<usize>(), flags, small.clone(), 0..2000_u32).prop_map(
        |(which, flags, offset, len)| Act::Answer { which, flags, offset, len },
    );
    let r_ctl =
        prop::sample::select(vec![0x01, 0x01, 0x05, 0x05, 0x07, 0x07, 0x81, 0x84]);
    let f_ctl = prop::sample::select(vec![0x88_0008, 0x88_0000, 0x80_0008, 0x08_0008]);
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        // Often a small number is what makes sense.
        prop::collection::vec(0..3_u8, 0..64),
        prop::collection::vec(any::<u8>(), 0..2000),
    ];
    let forge = (any::<usize>(), r_ctl, f_ctl, small, payload).prop_map(
        |(which, r_ctl, f_ctl, parameter, payload)| Act::Forge {
            which,
            r_ctl,
            f_ctl,
            parameter,
            payload,
        },
    );
    prop_oneof![
        8 => command,
        1 => prop::sample::select(vec![0x10, 0x02, 0x08, 0x01, 0x1f]).prop_map(Act::Manage),
        2 => any::<usize>().prop_map(Act::Abort),
        1 => (login_flags(), prop::option::of(login_flags()))
            .prop_map(|(flags, back)| Act::Log { flags, back }),
        6 => answer,
        4 => forge,
        1 => (0..25_u64).prop_map(Act::Seconds),
        1 => any::<bool>().prop_map(Act::Cable),
        1 => Just(Act::Reset),
    ]
}

fn login_flags() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![0x00, 0x00, 0x10, 0x20, 0x08, 0x98, 0x19])
}

/// Returns switches about logins, in any position.
fn switches() -> impl Strategy<Value = Switches> {
    use YieldedLogin::{Answered, Completed, PortIdUsed};
    let yielded = prop::sample::select(vec![PortIdUsed, Completed, Answered]);
    (yielded, any::<[bool; 5]>()).prop_map(|(yielded_login, [a, b, c, d, e])| Switches {
        yielded_login,
        condition_counts: a,
        handles_in_turn: b,
        logout_names_port: c,
        refused_prli_ends_login: d,
        logged_out_at_plogi: e,
        ..Switches::default()
    })
}

/// A command of the initiator's.
#[derive(Debug, Default)]
struct Command {
    /// How often it was answered.
    answers: u32,
    /// Whether the chip was reset since, so that no answer has to come.
    is_void: bool,
    /// What was in its slot when it was answered.
    slot: Vec<u8>,
}

struct Game {
    pair: Pair,
    commands: BTreeMap<u32, Command>,
    atios: Vec<Entry>,
}

impl Game {
    fn new(switches: Switches) -> Self {
        let mut pair = Pair::with(Mode::Both, 64);
        *pair.target().rig.hba.switches() = switches;
        *pair.initiator().rig.hba.switches() = switches;
        Self { pair, commands: BTreeMap::new(), atios: Vec::new() }
    }

    fn carry_out(&mut self, act: Act) {
        match act {
            Act::Command { flags, lens, wrong } => self.command(flags, &lens, wrong),
            Act::Manage(flags) => self.manage(flags),
            Act::Abort(which) => self.abort(which),
            Act::Log { flags, back } => self.log(flags, back),
            Act::Answer { which, flags, offset, len } => {
                if let Some(atio) = pick(&self.atios, which) {
                    let mut entry = with_data(&atio, flags, len);
                    if flags & 3 == 0 {
                        entry = ctio(&atio, flags);
                    }
                    entry.set_u32(36, offset);
                    self.pair.target().push(&[entry]);
                }
            }
            Act::Forge { which, r_ctl, f_ctl, parameter, payload } => {
                if let Some(atio) = pick(&self.atios, which) {
                    let header = FcHeader { f_ctl, parameter, ..answer(&atio, r_ctl) };
                    let basic = r_ctl & 0x80 != 0;
                    let fc_type = if basic { 0 } else { header.fc_type };
                    let header = FcHeader { fc_type, ..header };
                    self.pair.initiator().rig.deliver(header, &payload);
                }
            }
            Act::Seconds(seconds) => self.pair.initiator().rig.pass(seconds),
            Act::Cable(plugged) => self.pair.initiator().rig.cable(plugged),
            Act::Reset => self.reset(),
        }
    }

    fn command(&mut self, flags: u16, lens: &[u32], wrong: bool) {
        let Some(handle) = self.new_handle() else { return };
        let mut entry = self.pair.command(handle, [0x2a; 16], flags);
        let mut more = [Entry::new(kind::CONTINUE); 2];
        let mut at = DATA + u64::from(handle) * SLOT;
        for (index, len) in lens.iter().enumerate() {
            match index.checked_sub(1) {
                None => segment(&mut entry, 52, at, *len),
                Some(rest) => segment(&mut more[rest / 5], 4 + rest % 5 * 12, at, *len),
            }
            at += u64::from(*len);
        }
        let rest = lens.len().saturating_sub(1).div_ceil(5);
        entry.set(1, &[1 + u8::try_from(rest).unwrap()]);
        entry.set_u16(12, u16::try_from(lens.len()).unwrap());
        let length: u32 = if flags == 0 { 0 } else { lens.iter().sum() };
        entry.set_u32(44, length + u32::from(wrong));
        let all = [&[entry], &more[..rest]].concat();
        self.pair.initiator().push(&all);
    }

    fn manage(&mut self, flags: u32) {
        let Some(handle) = self.new_handle() else { return };
        let id = self.pair.target().id(0);
        let mut entry = Entry::new(kind::TASK_MANAGEMENT);
        entry.set_u32(4, handle);
        entry.set_u16(8, HANDLE);
        entry.set_u16(14, 5);
        entry.set_u32(24, flags);
        entry.set(48, &id_bytes(id));
        self.pair.initiator().push(&[entry]);
    }

    /// Aborts a command, which may have ended. The ABORT must be answered as well.
    fn abort(&mut self, which: usize) {
        let handles: Vec<u32> = self.commands.keys().copied().collect();
        let Some(handle) = self.new_handle() else { return };
        let mut entry = Entry::new(kind::ABORT);
        entry.set_u32(4, handle);
        entry.set_u32(12, pick(&handles, which).unwrap_or(1000));
        self.pair.initiator().push(&[entry]);
    }

    fn log(&mut self, flags: u16, back: Option<u16>) {
        let [to_target, _] = login(HANDLE, flags, &mut self.pair);
        let handle = self.pair.handle;
        let back = back.map(|flags| login(handle, flags, &mut self.pair));
        if let Some([_, to_initiator]) = back {
            self.pair.target().push(&[to_initiator]);
        }
        self.pair.initiator().push(&[to_target]);
    }

    fn reset(&mut self) {
        let initiator = self.pair.initiator();
        initiator.rig.cable(true);
        initiator.reset();
        initiator.boot();
        initiator.go_online(Mode::Both);
        for command in self.commands.values_mut() {
            command.is_void = true;
        }
        self.log(0, None);
    }

    fn new_handle(&mut self) -> Option<u32> {
        let handle = u32::try_from(self.commands.len()).unwrap();
        (handle < SLOTS).then(|| self.commands.insert(handle, Command::default()));
        (handle < SLOTS).then_some(handle)
    }

    /// Lets both drivers take what they are told, until nothing more comes.
    fn pump(&mut self) -> Result<(), TestCaseError> {
        loop {
            let told = self.pair.target().take();
            for seen in &told {
                self.target_hears(seen);
            }
            let heard = self.pair.initiator().take();
            for seen in &heard {
                match seen {
                    Seen::Atio(notice) => self.pair.initiator().acknowledge(notice),
                    Seen::Response(entry) => self.answered(entry)?,
                    _ => {}
                }
            }
            if told.is_empty() && heard.is_empty() {
                return Ok(());
            }
        }
    }

    fn target_hears(&mut self, seen: &Seen) {
        match seen {
            Seen::Atio(entry) if entry.kind() == kind::ATIO => self.atios.push(*entry),
            Seen::Atio(notice) => self.pair.target().acknowledge(notice),
            // Each second ABTS is not answered.
            Seen::Response(entry)
                if entry.kind() == kind::ABORT_RECEIVED && entry.u16(38) & 1 == 0 =>
            {
                let mut answer = *entry;
                answer.set(0, &[kind::ABORT_RESPONSE]);
                answer.set(23, &[0x84]);
                self.pair.target().push(&[answer]);
            }
            _ => {}
        }
    }

    fn answered(&mut self, entry: &Entry) -> Result<(), TestCaseError> {
        let answers = [kind::STATUS, kind::COMMAND_7, kind::TASK_MANAGEMENT, kind::ABORT];
        if !answers.contains(&entry.kind()) {
            return Ok(());
        }
        let handle = entry.handle();
        let slot = self.slot(handle);
        let command = self.commands.get_mut(&handle);
        let command = command.ok_or_else(|| TestCaseError::fail("an unknown handle"))?;
        command.answers += 1;
        command.slot = slot;
        prop_assert_eq!(command.answers, 1, "of {}", handle);
        prop_assert!(!command.is_void, "{} after a reset", handle);
        Ok(())
    }

    fn slot(&mut self, handle: u32) -> Vec<u8> {
        let at = DATA + u64::from(handle) * SLOT;
        self.pair.initiator().peek(at, usize::try_from(SLOT).unwrap())
    }
}

fn pick<T: Copy>(all: &[T], which: usize) -> Option<T> {
    all.get(which.checked_rem(all.len())?).copied()
}

fn survives((switches, acts): (Switches, Vec<Act>)) -> Result<(), TestCaseError> {
    let mut game = Game::new(switches);
    for act in acts {
        game.carry_out(act);
        game.pump()?;
    }
    // Without light all commands end.
    game.pair.initiator().rig.cable(false);
    game.pump()?;
    let handles: Vec<u32> = game.commands.keys().copied().collect();
    for handle in handles {
        let slot = game.slot(handle);
        let command = &game.commands[&handle];
        prop_assert!(command.is_void || command.answers == 1, "{handle} has no answer");
        prop_assert!(slot[0x800..].iter().all(|byte| *byte == 0), "{handle}: its slot");
        let changed = command.answers == 1 && slot != command.slot;
        prop_assert!(!changed, "{handle}: data came after its end");
    }
    Ok(())
}

#[test]
fn each_command_is_answered_once_whatever_happens() {
    seek(LIMIT, &(switches(), prop::collection::vec(act(), 1..80)), survives);
}
