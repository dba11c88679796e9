//! The flash: the card's settings, and an image that the driver takes for firmware.
//!
//! The driver loads firmware at each reset: the file `ql2500_fw.bin` if the guest has it,
//! else what is in the flash (qla24xx_load_risc). Whatever it loads is accepted and thrown
//! away: the firmware is this program.

use crate::wire::Names;

use super::nvram::nvram;

/// The size of the flash, in words of four bytes (OPTROM_SIZE_25XX).
pub const FLASH_LEN: u32 = 0x8_0000;

/// Where the driver looks for firmware, in words.
const FIRMWARE: u32 = 0x2_0000;
/// Where the driver looks for the settings of the card's first port, in words.
const NVRAM: u32 = 0x4_8080;

/// Where the content of the flash begins in the chip's address space.
pub const FLASH_BASE: u32 = 0x7ff0_0000;
/// Where the content ends. The flash's own registers follow: its maker, its state.
const CONFIG: u32 = 0x7ffd_0000;
/// What a word is after an erase.
const ERASED: u32 = u32::MAX;

/// A flash.
#[derive(Debug, Default)]
pub struct Flash {
    words: Vec<u32>,
}

impl Flash {
    /// Returns the flash of a card with these names. What is not firmware and not
    /// settings is erased, and the driver then uses defaults.
    pub fn new(names: Names) -> Self {
        let mut flash = Self { words: vec![ERASED; FLASH_LEN as usize] };
        flash.put(FIRMWARE, &segment(0x10_0000));
        flash.put(FIRMWARE + SEGMENT_WORDS, &segment(0x11_0000));
        let settings: Vec<u32> = nvram(names)
            .chunks_exact(4)
            .map(|word| <[u8; 4]>::try_from(word).map_or(0, u32::from_le_bytes))
            .collect();
        flash.put(NVRAM, &settings);
        flash
    }

    /// Returns the word at an address of the chip. The flash's own registers read 0: it
    /// is of no known maker, and not busy.
    pub fn read(&self, address: u32) -> u32 {
        match address.checked_sub(FLASH_BASE) {
            Some(word) if address < CONFIG => self.word(word),
            _ => 0,
        }
    }

    /// Writes the word at an address of the chip, whether or not it was erased before.
    pub fn write(&mut self, address: u32, value: u32) {
        if let Some(word) = address.checked_sub(FLASH_BASE).filter(|_| address < CONFIG) {
            self.put(word, &[value]);
        }
    }

    /// Returns a word by its number. Beyond the end all is erased.
    pub fn word(&self, word: u32) -> u32 {
        let index = usize::try_from(word).unwrap_or(usize::MAX);
        self.words.get(index).copied().unwrap_or(ERASED)
    }

    fn put(&mut self, word: u32, values: &[u32]) {
        let first = usize::try_from(word).unwrap_or(usize::MAX);
        for (to, from) in self.words.iter_mut().skip(first).zip(values) {
            *to = *from;
        }
    }
}

/// How long a segment of the firmware is.
const SEGMENT_WORDS: u32 = 16;

/// Returns a segment of an image: its header, in the byte order of the firmware, and a few
/// words that are neither all 0 nor all 1 (qla24xx_risc_firmware_invalid).
fn segment(load_address: u32) -> Vec<u32> {
    (0..SEGMENT_WORDS)
        .map(|index| match index {
            2 => load_address,
            3 => SEGMENT_WORDS,
            // Version 8.7.0.
            4 => 8,
            5 => 7,
            6 | 7 | 9 => 0,
            _ => 0x7573_7479,
        })
        .map(u32::swap_bytes)
        .collect()
}
