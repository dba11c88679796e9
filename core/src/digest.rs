//! The hash FNV-1a, for names that must be the same on every node and in every release.
//! The standard library's hasher promises neither. This is no hash for secrets.

/// Returns the 128 bits of FNV-1a over the parts. A zero byte follows each part, so that
/// `ab` and `c` differ from `a` and `bc`.
pub(crate) fn fnv128(parts: &[&str]) -> u128 {
    fnv1a(parts.iter().flat_map(|part| part.bytes().chain([0])))
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_function() {
        assert_eq!(
            fnv1a(b"a".iter().copied()),
            0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964
        );
    }

    #[test]
    fn borders_count() {
        assert_ne!(fnv128(&["ab", "c"]), fnv128(&["a", "bc"]));
    }
}
