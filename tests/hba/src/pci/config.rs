//! Config space: 256 bytes, with a mask of the bits that the guest may write.

use super::BAR_SIZE;

/// The size of config space, in bytes.
pub(super) const SIZE: usize = 256;

const VENDOR_QLOGIC: u16 = 0x1077;
const DEVICE_ISP2532: u16 = 0x2532;
/// A subsystem of QLogic's own. The driver treats some of other vendors differently.
const SUBSYSTEM: u16 = 0x015c;

/// Where the capabilities are.
const CAP_POWER: u8 = 0x40;
const CAP_MSI: u8 = 0x50;
const CAP_EXPRESS: u8 = 0x60;

/// Config space. All ones written to a BAR read back as its size, as PCI wants it.
#[derive(Debug)]
pub(super) struct Config {
    bytes: [u8; SIZE],
    writable: [u8; SIZE],
}

impl Default for Config {
    fn default() -> Self {
        let mut this = Self { bytes: [0; SIZE], writable: [0; SIZE] };
        this.set(0x00, &VENDOR_QLOGIC.to_le_bytes());
        this.set(0x02, &DEVICE_ISP2532.to_le_bytes());
        this.allow(0x04, &[0x47, 0x05]);
        // Status: there is a list of capabilities.
        this.set(0x06, &[0x10, 0]);
        // Revision 2; class 0c0400, Fibre Channel.
        this.set(0x08, &[2, 0, 4, 0x0c]);
        this.allow(0x0c, &[0xff, 0xff]);
        // BARs 1 and 2: a 64-bit memory BAR. The driver looks for its registers in BAR 1.
        let low = u32::try_from(BAR_SIZE).unwrap_or(0).wrapping_neg();
        this.set(0x14, &4_u32.to_le_bytes());
        this.allow(0x14, &low.to_le_bytes());
        this.allow(0x18, &[0xff; 4]);
        this.set(0x2c, &VENDOR_QLOGIC.to_le_bytes());
        this.set(0x2e, &SUBSYSTEM.to_le_bytes());
        this.set(0x34, &[CAP_POWER]);
        this.allow(0x3c, &[0xff]);
        // Interrupt pin A: to the driver this is port 1 of the card.
        this.set(0x3d, &[1]);

        this.set(CAP_POWER, &[0x01, CAP_MSI, 0x03, 0x00]);
        this.allow(CAP_POWER + 4, &[0x03, 0x01]);
        // MSI with 64-bit addresses and one vector.
        this.set(CAP_MSI, &[0x05, CAP_EXPRESS, 0x80, 0x00]);
        this.allow(CAP_MSI + 2, &[0x01, 0x00]);
        this.allow(
            CAP_MSI + 4,
            &[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        );
        // PCI Express 2, an endpoint: link of 8 lanes at 5 GT/s.
        this.set(CAP_EXPRESS, &[0x10, 0x00, 0x02, 0x00]);
        this.set(CAP_EXPRESS + 4, &[0x02, 0x80, 0x00, 0x00]);
        this.allow(CAP_EXPRESS + 8, &[0xff, 0x7f]);
        this.set(CAP_EXPRESS + 0x0c, &[0x82, 0x00, 0x00, 0x00]);
        this.set(CAP_EXPRESS + 0x12, &[0x82, 0x00]);
        this
    }
}

impl Config {
    /// Fills `data` with the bytes at an offset. Beyond the end all is 0.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        let start = usize::try_from(offset).unwrap_or(SIZE).min(SIZE);
        data.fill(0);
        let bytes = self.bytes.get(start..).unwrap_or_default();
        for (to, from) in data.iter_mut().zip(bytes) {
            *to = *from;
        }
    }

    /// Writes the bits that may be written.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(SIZE).min(SIZE);
        let bytes = self.bytes.get_mut(start..).unwrap_or_default();
        let masks = self.writable.get(start..).unwrap_or_default();
        for ((byte, mask), new) in bytes.iter_mut().zip(masks).zip(data) {
            *byte = *byte & !mask | new & mask;
        }
    }

    fn set(&mut self, at: u8, values: &[u8]) {
        put(&mut self.bytes, at, values);
    }

    fn allow(&mut self, at: u8, masks: &[u8]) {
        put(&mut self.writable, at, masks);
    }
}

fn put(bytes: &mut [u8; SIZE], at: u8, values: &[u8]) {
    let places = bytes.iter_mut().skip(usize::from(at));
    for (place, value) in places.zip(values) {
        *place = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dword(config: &Config, at: u64) -> u32 {
        let mut data = [0; 4];
        config.read(at, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn all_ones_in_a_bar_read_back_as_its_size() {
        let mut config = Config::default();
        config.write(0x14, &[0xff; 8]);
        assert_eq!((dword(&config, 0x14), dword(&config, 0x18)), (0xffff_c004, u32::MAX));
        config.write(0x10, &[0xff; 4]);
        assert_eq!(dword(&config, 0x10), 0);
    }

    #[test]
    fn the_identity_cannot_be_written() {
        let mut config = Config::default();
        config.write(0, &[0; SIZE + 9]);
        assert_eq!(dword(&config, 0), 0x2532_1077);
        assert_eq!(dword(&config, 8), 0x0c04_0002);
    }

    #[test]
    fn the_list_of_capabilities_ends() {
        let config = Config::default();
        let mut at = u64::from(dword(&config, 0x34) as u8);
        let mut found = Vec::new();
        while at != 0 && found.len() < 9 {
            let [id, next, ..] = dword(&config, at).to_le_bytes();
            found.push(id);
            at = u64::from(next);
        }
        assert_eq!(found, [1, 5, 16]);
    }
}
