//! Signatures of requests: HMAC (RFC 2104) with SHA-256.

use std::fmt::Write;

use sha2::Digest;
use sha2::Sha256;

/// Bytes that SHA-256 takes at once.
const BLOCK: usize = 64;

/// The value of the header: when it was signed, and the HMAC of that moment and what is `signed`.
pub(super) fn signature(secret: &str, seconds: i64, signed: &str) -> String {
    let code = hmac(secret.as_bytes(), format!("{seconds}\n{signed}").as_bytes());
    format!("t={seconds},v1={}", hex(&code))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _never_fails = write!(text, "{byte:02x}");
    }
    text
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |byte: u8| block.map(|part| part ^ byte);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4231 with a short key, a text key, and a key longer than a block.
    #[test]
    fn the_hmac_is_the_standards() {
        assert_eq!(
            hex(&hmac(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_signature_says_when_it_was_made() {
        let value = signature("Jefe", 1_700_000_000, "x");

        let (at, hex) = value.split_once(",v1=").unwrap();
        assert_eq!((at, hex.len()), ("t=1700000000", 64));
        assert_ne!(signature("Jefe", 1_700_000_001, "x").split_once(",v1=").unwrap().1, hex);
    }
}
