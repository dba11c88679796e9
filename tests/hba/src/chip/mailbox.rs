//! The 32 mailboxes: a command from the driver, or an answer to it.

/// How a mailbox command ended: what the answer has in mailbox 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// Done.
    Complete = 0x4000,
    /// The command is not known.
    Invalid = 0x4001,
    /// The command failed. Mailbox 1 may say why.
    Error = 0x4005,
    /// The command's parameters make no sense.
    Parameter = 0x4006,
    /// The port is not logged in.
    NotLoggedIn = 0x400a,
}

/// The mailboxes of a command or of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailboxes([u16; 32]);

impl Mailboxes {
    /// Returns mailboxes with these values, and 0 in the others.
    pub fn new(values: &[u16]) -> Self {
        let mut this = Self::default();
        for (to, from) in this.0.iter_mut().zip(values) {
            *to = *from;
        }
        this
    }

    /// Returns the value of a mailbox. There are 32.
    pub fn at(&self, index: u64) -> u16 {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.0.get(index).copied().unwrap_or_default()
    }

    /// Sets a mailbox.
    pub fn set_at(&mut self, index: u64, value: u16) {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(place) = self.0.get_mut(index) {
            *place = value;
        }
    }

    /// Returns the command.
    pub fn command(&self) -> u16 {
        self.at(0)
    }

    /// Returns the guest's address in mailboxes 2, 3, 6 and 7.
    pub fn address(&self) -> u64 {
        let part = |index, shift| u64::from(self.at(index)) << shift;
        part(6, 48) | part(7, 32) | part(2, 16) | part(3, 0)
    }

    /// Returns the number in two mailboxes.
    pub fn pair(&self, high: u64, low: u64) -> u32 {
        u32::from(self.at(high)) << 16 | u32::from(self.at(low))
    }

    /// Returns the port that a command is about.
    pub fn vp(&self) -> u8 {
        let [low, _] = self.at(9).to_le_bytes();
        low
    }

    /// Returns the answer to this command: the mailboxes as they are, but for the status
    /// and these values.
    pub fn answer(&self, status: Status, values: &[(u64, u16)]) -> Self {
        let mut answer = self.clone();
        answer.set_at(0, status as u16);
        for (index, value) in values {
            answer.set_at(*index, *value);
        }
        answer
    }

    /// Whether this answer says that the command is done.
    pub fn is_ok(&self) -> bool {
        self.at(0) == Status::Complete as u16
    }
}
