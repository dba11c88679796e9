//! Sequences: a payload cut into frames, and frames put together again.
//!
//! FC-FS: all frames of a sequence have one SEQ_ID, and SEQ_CNT grows by one from frame
//! to frame. The link keeps the order of frames. So a frame that does not continue the
//! last one means that something was lost, and the sequence is given up.

use understudy_fabric::frame::{EOF_N, EOF_T, FcHeader, Fcoe, SOF_I3, SOF_N3};

use super::DataFault;

/// F_CTL: the sender answers the exchange; it did not begin it.
pub(super) const RESPONDER: u32 = 0x80_0000;
/// F_CTL: the first sequence of the exchange.
pub(super) const FIRST: u32 = 0x20_0000;
/// F_CTL: the last sequence of the exchange.
pub(super) const LAST: u32 = 0x10_0000;
/// F_CTL: the last frame of the sequence.
pub(super) const END: u32 = 0x08_0000;
/// F_CTL: the sequence initiative goes to the other end.
pub(super) const INITIATIVE: u32 = 0x01_0000;
/// F_CTL: the parameter is an offset in the transfer.
pub(super) const OFFSET: u32 = 0x00_0008;

/// The smallest payload of a frame that is not the last of its sequence.
const LEAST: usize = 4;

/// Returns the frames of a sequence. `header` is the first frame's, and `f_ctl` in it what
/// all frames have; `end` is what the last one has besides. No frame has more than `size`
/// bytes of payload. All but the last are whole words, because only the last may be filled.
pub(super) fn frames(
    header: FcHeader,
    end: u32,
    payload: &[u8],
    size: u16,
) -> impl Iterator<Item = Fcoe<'_>> {
    let size = usize::from(size & !3).max(LEAST);
    let count = payload.len().div_ceil(size).max(1);
    (0..count).map(move |index| {
        let start = index * size;
        let chunk = payload.get(start..payload.len().min(start + size));
        let last = index + 1 == count;
        let moved = if header.f_ctl & OFFSET == 0 { 0 } else { word(start) };
        let header = FcHeader {
            f_ctl: header.f_ctl | if last { end | END } else { 0 },
            seq_cnt: header.seq_cnt.wrapping_add(half(index)),
            parameter: header.parameter.wrapping_add(moved),
            ..header
        };
        Fcoe {
            sof: if index == 0 { SOF_I3 } else { SOF_N3 },
            header,
            payload: chunk.unwrap_or_default(),
            eof: if last { EOF_T } else { EOF_N },
        }
    })
}

/// Returns the low 16 bits: SEQ_CNT wraps.
fn half(index: usize) -> u16 {
    u16::try_from(index & 0xffff).unwrap_or_default()
}

/// Returns an offset in a transfer, which is shorter than 4 GiB.
fn word(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// Whether a frame ends its sequence.
pub(super) fn ends(frame: &Fcoe<'_>) -> bool {
    frame.header.f_ctl & END != 0
}

/// The place that the next frame of a sequence must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// SEQ_ID and SEQ_CNT, or `None` before the first frame.
    next: Option<(u8, u16)>,
}

impl Order {
    /// Whether the frame is the next one.
    pub(super) fn admits(&mut self, frame: &Fcoe<'_>) -> bool {
        let FcHeader { seq_id, seq_cnt, .. } = frame.header;
        let fits = match self.next {
            None => frame.sof == SOF_I3,
            Some(next) => frame.sof == SOF_N3 && next == (seq_id, seq_cnt),
        };
        self.next = (!ends(frame)).then_some((seq_id, seq_cnt.wrapping_add(1)));
        fits
    }
}

/// A message of one sequence, such as an ELS or a CT answer, as far as it is here.
#[derive(Debug)]
pub(super) struct Message {
    order: Order,
    bytes: Vec<u8>,
    longest: usize,
}

impl Message {
    /// Returns the empty beginning of a message that another port sends unasked. An RSCN
    /// with 4000 pages is the longest.
    pub(super) fn request() -> Self {
        Self { order: Order::default(), bytes: Vec::new(), longest: 16 << 10 }
    }

    /// Returns the empty beginning of an answer. A name server's list of 16000 ports is
    /// the longest.
    pub(super) fn answer() -> Self {
        Self { longest: 256 << 10, ..Self::request() }
    }

    /// Takes the next frame. Returns the message if that was its last, and an error if the
    /// message cannot become whole.
    pub(super) fn take(
        &mut self,
        frame: &Fcoe<'_>,
    ) -> Result<Option<Vec<u8>>, DataFault> {
        if !self.order.admits(frame) {
            return Err(DataFault::Gap);
        }
        if self.bytes.len() + frame.payload.len() > self.longest {
            return Err(DataFault::Long);
        }
        self.bytes.extend_from_slice(frame.payload);
        Ok(ends(frame).then(|| std::mem::take(&mut self.bytes)))
    }
}

/// A stretch of a transfer, as far as it is here. The bytes are passed on frame by frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    order: Order,
    start: u32,
    /// The offset of the next byte.
    pub(super) next: u32,
    /// The offset after the last byte.
    end: u32,
}

impl Stretch {
    /// Returns a stretch that is still to come.
    pub(super) fn new(start: u32, end: u32) -> Self {
        Self { order: Order::default(), start, next: start, end }
    }

    /// Takes the next frame, whose bytes begin at the offset that [`Self::next`] was.
    pub(super) fn take(&mut self, frame: &Fcoe<'_>) -> Result<(), DataFault> {
        let continues = self.order.admits(frame)
            && frame.header.f_ctl & OFFSET != 0
            && frame.header.parameter == self.next;
        if !continues {
            return Err(DataFault::Gap);
        }
        let len = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
        match self.next.checked_add(len).filter(|next| *next <= self.end) {
            Some(next) => {
                self.next = next;
                Ok(())
            }
            None => Err(DataFault::Long),
        }
    }

    /// Returns how many bytes are here.
    pub(super) fn moved(&self) -> u32 {
        self.next.saturating_sub(self.start)
    }

    /// Whether all is here.
    pub(super) fn is_whole(&self) -> bool {
        self.next == self.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use understudy_fabric::addr::Fcid;

    use super::*;

    fn header(f_ctl: u32, parameter: u32) -> FcHeader {
        FcHeader {
            r_ctl: 1,
            d_id: Fcid(1),
            cs_ctl: 0,
            s_id: Fcid(2),
            fc_type: 8,
            f_ctl,
            seq_id: 9,
            df_ctl: 0,
            seq_cnt: 0xffff,
            ox_id: 3,
            rx_id: 4,
            parameter,
        }
    }

    /// What happens to the frames of a sequence on their way.
    #[derive(Debug, Clone, Copy)]
    enum Harm {
        None,
        Lost(usize),
        Doubled(usize),
        Swapped(usize),
    }

    fn harm() -> impl Strategy<Value = Harm> {
        let at = 0_usize..40;
        prop_oneof![
            Just(Harm::None),
            at.clone().prop_map(Harm::Lost),
            at.clone().prop_map(Harm::Doubled),
            at.prop_map(Harm::Swapped),
        ]
    }

    /// Applies the harm. Returns whether there was such a frame.
    fn apply(harm: Harm, frames: &mut Vec<Fcoe<'_>>) -> bool {
        match harm {
            Harm::None => false,
            Harm::Lost(at) if at < frames.len() => {
                frames.remove(at);
                true
            }
            Harm::Doubled(at) if at < frames.len() => {
                frames.insert(at, frames[at]);
                true
            }
            Harm::Swapped(at) if at + 1 < frames.len() => {
                frames.swap(at, at + 1);
                true
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_message_is_whole_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..9000),
            size in 256_u16..2200,
            harm in harm(),
        ) {
            let mut cut: Vec<_> = frames(header(0, 0), LAST, &bytes, size).collect();
            prop_assert!(cut.iter().all(|frame| frame.payload.len() <= usize::from(size)));
            let harmed = apply(harm, &mut cut);
            let mut message = Message::answer();
            let mut outcome = Ok(None);
            for frame in &cut {
                outcome = message.take(frame);
                if !matches!(outcome, Ok(None)) { break }
            }
            match outcome {
                // A doubled last frame comes after the end, which is another test's matter.
                Ok(Some(got)) => {
                    prop_assert_eq!(&got, &bytes);
                    prop_assert!(!harmed || matches!(harm, Harm::Doubled(_)));
                }
                // The last frame is lost: nothing more comes, and time runs out.
                Ok(None) => prop_assert!(matches!(harm, Harm::Lost(_))),
                Err(_) => prop_assert!(harmed),
            }
        }

        #[test]
        fn a_stretch_never_passes_wrong_bytes(
            bytes in prop::collection::vec(any::<u8>(), 1..9000),
            start in any::<u32>(),
            size in 256_u16..2200,
            harm in harm(),
        ) {
            let len = u32::try_from(bytes.len()).unwrap();
            let start = start.min(u32::MAX - len);
            let mut cut: Vec<_> =
                frames(header(OFFSET, start), INITIATIVE, &bytes, size).collect();
            let harmed = apply(harm, &mut cut);
            let mut stretch = Stretch::new(start, start + len);
            let mut got = Vec::new();
            let mut fault = None;
            for frame in &cut {
                match stretch.take(frame) {
                    Ok(()) => got.extend_from_slice(frame.payload),
                    Err(error) => { fault = Some(error); break }
                }
            }
            prop_assert_eq!(&got[..], &bytes[..got.len()]);
            prop_assert_eq!(stretch.is_whole(), got.len() == bytes.len());
            prop_assert!(harmed || fault.is_none() && stretch.is_whole());
            let last_lost = matches!(harm, Harm::Lost(_)) && !stretch.is_whole();
            prop_assert!(!harmed || fault.is_some() || last_lost);
        }
    }

    #[test]
    fn one_byte_more_than_asked_for_is_an_error() {
        let mut stretch = Stretch::new(0, 15);
        let cut: Vec<_> = frames(header(OFFSET, 0), 0, &[1; 16], 2048).collect();
        assert_eq!(stretch.take(&cut[0]), Err(DataFault::Long));
    }

    #[test]
    fn a_message_without_end_is_an_error() {
        let mut message = Message::request();
        let endless = vec![0; message.longest + 1];
        let outcomes: Vec<_> =
            frames(header(0, 0), 0, &endless, 2112).map(|f| message.take(&f)).collect();
        assert_eq!(outcomes.last(), Some(&Err(DataFault::Long)));
    }
}
