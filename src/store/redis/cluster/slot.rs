//! Which slot a key has, and which partition an id.

/// Slots of a Redis Cluster.
const SLOTS: u16 = 16_384;

/// The slot of a key.
pub(super) fn slot_of(key: &str) -> u16 {
    crc16(hashed(key)) % SLOTS
}

/// Which of `partitions` keeps what is named so.
pub(super) fn partition_of(name: &str, partitions: usize) -> usize {
    usize::from(crc16(hashed(name))) % partitions
}

/// The part of a name that counts: what stands between its first `{` and the next `}`, unless that
/// is nothing, else all of it. Redis does the same with keys.
fn hashed(name: &str) -> &[u8] {
    let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    match tag {
        Some((tag, _)) if !tag.is_empty() => tag.as_bytes(),
        _ => name.as_bytes(),
    }
}

/// CRC16 as XMODEM has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that the specification of Redis Cluster gives, and slots that servers name.
    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("foo", 12_182), ("{foo}:bar", 12_182), ("{ts:default:0}:", 10_985)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }

    #[test]
    fn names_with_the_same_tag_share_a_partition() {
        for partitions in 1..9 {
            let of = |name| partition_of(name, partitions);
            assert_eq!(of("{tenant}:a"), of("b of {tenant}, {other}"));
            assert_eq!(of("tenant"), of("{tenant}"));
            assert_eq!(of("{}a"), usize::from(crc16(b"{}a")) % partitions);
            assert_eq!(of("{a"), usize::from(crc16(b"{a")) % partitions);
        }
    }

    #[test]
    fn ids_spread_over_all_partitions() {
        let mut counts = [0; 8];
        for n in 0..8000 {
            counts[partition_of(&format!("task-{n}"), 8)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
