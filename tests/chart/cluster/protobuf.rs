//! Reads the Secrets that helm 4 sends as protobuf, and the Base64 of all Secrets.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// How such a body begins.
pub(crate) const MAGIC: &[u8] = b"k8s\0";

/// Its fields by number; no field that is read here is anything but bytes.
type Fields<'a> = BTreeMap<u64, Vec<&'a [u8]>>;

/// A Secret of an envelope; nothing else comes in one.
pub(crate) fn secret(body: &[u8]) -> Value {
    let envelope = fields(&body[MAGIC.len()..]);
    let kind = fields(envelope[&1][0]);
    assert_eq!(text(kind[&2][0]), "Secret", "only a Secret comes as protobuf");
    let secret = fields(envelope[&2][0]);
    let metadata = fields(secret[&1][0]);
    let data = pairs(secret.get(&2)).map(|(name, bytes)| (name, json!(base64(bytes))));
    let texts = |field| pairs(metadata.get(&field)).map(|(name, value)| (name, json!(text(value))));
    json!({
        "metadata": {
            "name": text(metadata[&1][0]),
            "labels": texts(11).collect::<Map<_, _>>(),
            "annotations": texts(12).collect::<Map<_, _>>(),
        },
        "data": data.collect::<Map<_, _>>(),
        "type": secret.get(&3).map_or_else(|| "Opaque".into(), |of| text(of[0])),
    })
}

/// The entries of a map.
fn pairs<'a>(entries: Option<&Vec<&'a [u8]>>) -> impl Iterator<Item = (String, &'a [u8])> {
    entries.into_iter().flatten().map(|entry| {
        let entry = fields(entry);
        (text(entry[&1][0]), entry.get(&2).map_or(&[][..], |value| value[0]))
    })
}

fn fields(mut bytes: &[u8]) -> Fields<'_> {
    let mut found = Fields::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        match tag & 7 {
            0 => drop(number(&mut bytes)),
            2 => {
                let length = usize::try_from(number(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(length);
                found.entry(tag >> 3).or_default().push(value);
                bytes = rest;
            }
            form => panic!("a field of the form {form}"),
        }
    }
    found
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        if byte < &128 {
            break;
        }
    }
    value
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as Base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= part.len() { letter.into() } else { '=' });
        }
    }
    text
}

/// The bytes that a text of Base64 stands for.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 255) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read() {
        let metadata = b"\x0a\x02s1\x5a\x0f\x0a\x05owner\x12\x06helm-4";
        let mut secret = vec![0x0a, u8::try_from(metadata.len()).unwrap()];
        secret.extend(metadata);
        secret.extend(b"\x12\x08\x0a\x01k\x12\x03\xff\x00A\x1a\x01t");
        let mut body = b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12".to_vec();
        body.push(u8::try_from(secret.len()).unwrap());
        body.extend(secret);

        let read = super::secret(&body);

        assert_eq!(read["metadata"]["name"], "s1");
        assert_eq!(read["metadata"]["labels"]["owner"], "helm-4");
        assert_eq!(read["data"]["k"], "/wBB");
        assert_eq!(read["type"], "t");
    }

    #[test]
    fn base64_comes_back() {
        for text in ["", "a", "ab", "abc", "redis://:p@h/0"] {
            assert_eq!(from_base64(&base64(text.as_bytes())), text.as_bytes());
        }
        assert_eq!(base64(b"ab"), "YWI=");
    }
}
